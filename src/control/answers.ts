// control/answers.ts — how a failure travels: a status for HTTP, code and remedy for the reader.
//
// The body of every failed answer is SwitchError.toJSON(); the client builds the same error from
// it. What is no SwitchError is a bug of ours: it is logged, and the caller learns no internals.

import { type ErrorCode, isErrorCode, type Problem, SwitchError } from '../lib/errors.ts';

const statusOf: Readonly<Record<ErrorCode, number>> = {
  ERR_CONFIG_INVALID: 500,
  ERR_DOCUMENT_INVALID: 422,
  ERR_ARGUMENT_INVALID: 400,
  ERR_PORT_EXISTS: 409,
  ERR_PORT_NOT_FOUND: 404,
  ERR_DEVICE_NOT_FOUND: 409,
  ERR_DEVICE_BUSY: 409,
  ERR_XDP_UNSUPPORTED: 501,
  ERR_PERMISSION: 403,
  ERR_LIMIT: 413,
  ERR_DATAPATH_CLOSED: 503,
  ERR_PROTOCOL: 502,
  ERR_BUSY: 409,
  ERR_STATE_UNWRITABLE: 507,
  ERR_NOT_FOUND: 404,
  ERR_UNSUPPORTED: 501,
  ERR_TIMEOUT: 504,
  ERR_INTERNAL: 500,
};

/** Status of the answer for a code. */
export function httpStatus(code: ErrorCode): number {
  return statusOf[code];
}

/** What HTTP libraries put on their errors. */
interface HttpError extends Error {
  readonly statusCode?: number;
}

const firstServerStatus = 500;

/** Any thrown value as the error that the caller may see. */
export function answerableError(error: unknown): SwitchError {
  if (error instanceof SwitchError) return error;
  const coded = fromCoded(error);
  if (coded !== undefined) return coded;
  const status = (error as HttpError | undefined)?.statusCode ?? firstServerStatus;
  if (status === statusOf.ERR_LIMIT) {
    return new SwitchError('ERR_LIMIT', 'the body of the request is too large', {
      cause: error,
      remedy: 'A document has at most 16 MiB; split address sets, or remove what is unused.',
    });
  }
  if (status < firstServerStatus) {
    return new SwitchError('ERR_ARGUMENT_INVALID', (error as Error).message, { cause: error });
  }
  return new SwitchError('ERR_INTERNAL', 'vtepd failed to answer; its log says where', {
    cause: error,
  });
}

/** An error of the addon: an Error with one of our codes. */
function fromCoded(error: unknown): SwitchError | undefined {
  if (!(error instanceof Error) || !('code' in error) || !isErrorCode(error.code)) return undefined;
  return new SwitchError(error.code, error.message, { cause: error });
}

/** The error that an answer's body describes; undefined when it describes none. */
export function errorFromBody(body: unknown): SwitchError | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { code, message, remedy, problems } = body as Readonly<Record<string, unknown>>;
  if (!isErrorCode(code) || typeof message !== 'string') return undefined;
  return new SwitchError(code, message, {
    remedy: typeof remedy === 'string' ? remedy : undefined,
    problems: Array.isArray(problems) ? (problems as Problem[]) : [],
  });
}
