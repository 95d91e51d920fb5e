// support/tidy-ts.ts — reads TypeScript with the compiler's own parser, for the house rules.
//
// Only syntax is needed, so each file is parsed alone, without types; that takes milliseconds.

import ts from 'typescript';
import type { MeasuredFunction } from './tidy-cpp.ts';

export interface TypeScriptFacts {
  readonly functions: readonly MeasuredFunction[];
  /** Import and export specifiers as written. */
  readonly imports: readonly string[];
  /** Forbidden constructs: "line: what is wrong". */
  readonly forbidden: readonly string[];
  /** Nothing is left of the file when it is compiled. */
  readonly isTypesOnly: boolean;
}

// A block of tests is a chapter, not a function: what counts is the length of each test in it.
const chapterCalls = /^(describe\w*|suite)\b/;

function isChapter(node: ts.Node): boolean {
  const call = node.parent;
  return ts.isCallExpression(call) && chapterCalls.test(call.expression.getText());
}

function nameOf(node: ts.FunctionLikeDeclaration): string {
  if (node.name !== undefined) return node.name.getText();
  if (ts.isVariableDeclaration(node.parent)) return node.parent.name.getText();
  return ts.isConstructorDeclaration(node) ? 'constructor' : '(anonymous)';
}

/** Parses one file and gathers what the rules ask about it. */
export function typeScriptFacts(path: string, text: string): TypeScriptFacts {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const functions: MeasuredFunction[] = [];
  const imports: string[] = [];
  const forbidden: string[] = [];
  const lineOf = (position: number) => file.getLineAndCharacterOfPosition(position).line + 1;
  const forbid = (node: ts.Node, what: string) => {
    forbidden.push(`${lineOf(node.getStart())}: ${what}`);
  };

  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined && !isChapter(node)) {
      const declaration = node as ts.FunctionLikeDeclaration;
      const line = lineOf(node.getStart());
      functions.push({
        name: nameOf(declaration),
        line,
        lineCount: lineOf(node.getEnd()) - line + 1,
        parameterCount: declaration.parameters.length,
      });
    }
    const specifier = specifierOf(node);
    if (specifier !== undefined) imports.push(specifier);
    const wrong = wrongWith(node);
    if (wrong !== undefined) forbid(node, wrong);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return { functions, imports, forbidden, isTypesOnly: file.statements.every(isErased) };
}

function isErased(statement: ts.Statement): boolean {
  if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) return true;
  if (ts.isExportDeclaration(statement)) return statement.isTypeOnly;
  return ts.isImportDeclaration(statement) && statement.importClause?.isTypeOnly === true;
}

function specifierOf(node: ts.Node): string | undefined {
  const isModule = ts.isImportDeclaration(node) || ts.isExportDeclaration(node);
  if (isModule && node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
    return node.moduleSpecifier.text;
  }
  const isDynamic =
    ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  const argument = isDynamic ? node.arguments[0] : undefined;
  return argument !== undefined && ts.isStringLiteral(argument) ? argument.text : undefined;
}

function wrongWith(node: ts.Node): string | undefined {
  if (node.kind === ts.SyntaxKind.AnyKeyword) return 'any is banned, name the type or use unknown';
  if (ts.isEnumDeclaration(node)) return 'enum is banned, use a union of strings';
  if (ts.isModuleDeclaration(node) && ts.isIdentifier(node.name) && node.name.text !== 'global') {
    return 'namespace is banned, use a module';
  }
  const isDefault =
    (ts.isExportAssignment(node) && node.isExportEquals !== true) ||
    node.kind === ts.SyntaxKind.DefaultKeyword;
  if (
    isDefault &&
    (ts.isExportAssignment(node) || node.parent.kind !== ts.SyntaxKind.DefaultClause)
  ) {
    return 'default exports are banned, export by name';
  }
  if (ts.isPropertyAccessExpression(node) && node.getText() === 'console.log') {
    return 'console.log is banned here, use the logger';
  }
  return undefined;
}
