// control/app.ts — the routes on a fastify application: checks before, errors after.
//
// One application per listener, all with the same routes. Bodies are text up to the size of the
// largest document; routes parse them. Validation is zod's, JSON is JSON.stringify: fastify's own
// compilers are never loaded.

import type { Buffer } from 'node:buffer';
import {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  fastify,
} from 'fastify';
import { SwitchError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { answerableError, httpStatus } from './answers.ts';
import { openApi } from './openapi.ts';
import { pump } from './pump.ts';
import type { Asked, DataRoute, Route, StreamRoute } from './route.ts';
import { documentRoutes } from './routes/document.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { stateRoutes } from './routes/state.ts';
import { streamRoutes } from './routes/streams.ts';
import { jsonType } from './schemas.ts';
import type { SwitchApi } from './switch-api.ts';

/** The largest document, and room for what is not ASCII. */
export const bodyBytesMax = 16 * 1024 * 1024;

/** Time to send the whole of a request; answers may take as long as they like. */
const requestTimeoutMs = 30_000;

const openApiRoute: DataRoute = {
  method: 'GET',
  path: '/v1/openapi.json',
  name: 'getOpenApi',
  description: 'This description.',
  answer: { type: jsonType, description: 'OpenAPI 3.1.' },
  answerTo: (api) => openApi(routes, api.status().version),
};

/** Every route of the control API. */
export const routes: readonly Route[] = [
  ...stateRoutes,
  ...documentRoutes,
  ...streamRoutes,
  ...metricsRoutes,
  openApiRoute,
];

export interface AppOptions {
  readonly api: SwitchApi;
  readonly logger: Logger;
  /** Certificates; absent: plain HTTP. */
  readonly https?: { cert: Buffer; key: Buffer; ca: Buffer };
}

/** An application that does not listen yet. */
export async function makeApp({ api, logger, https }: AppOptions): Promise<FastifyInstance> {
  const base: FastifyServerOptions = {
    logger: false,
    bodyLimit: bodyBytesMax,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    frameworkErrors: (error, request, reply) => fail(reply, error, request, logger),
  };
  const tls = { requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.2' } as const;
  const options = https === undefined ? base : { ...base, https: { ...https, ...tls } };
  const app: FastifyInstance = fastify(options);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.setErrorHandler((error, request, reply) => fail(reply, error, request, logger));
  app.setNotFoundHandler((request, reply) => {
    const message = `there is no ${request.method} ${request.url.split('?', 1)[0]}`;
    const remedy = 'GET /v1/openapi.json lists all routes.';
    return fail(reply, new SwitchError('ERR_NOT_FOUND', message, { remedy }), request, logger);
  });
  for (const route of routes) addRoute(app, route, api, logger);
  return app;
}

function addRoute(app: FastifyInstance, route: Route, api: SwitchApi, logger: Logger): void {
  app.route({
    method: route.method,
    url: route.path,
    async handler(request, reply) {
      const asked = askedOf(route, request);
      if ('streamFor' in route) return answerStream({ route, api, logger }, asked, reply);
      const answer = await route.answerTo(api, asked);
      reply.header('content-type', route.answer.type);
      return reply.send(typeof answer === 'string' ? answer : JSON.stringify(answer));
    },
  });
}

function askedOf(route: Route, request: FastifyRequest): Asked {
  const params = request.params as Record<string, string>;
  const body = typeof request.body === 'string' ? request.body : '';
  if (route.query === undefined) return { params, query: {}, body };
  const parsed = route.query.strict().safeParse(request.query);
  if (parsed.success) return { params, query: parsed.data, body };
  const problems = parsed.error.issues.map(({ path, message }) => {
    return { path: path.join('.'), message: 'not a value of this parameter', expected: message };
  });
  throw new SwitchError('ERR_ARGUMENT_INVALID', 'the query has wrong parameters', { problems });
}

interface StreamContext {
  readonly route: StreamRoute;
  readonly api: SwitchApi;
  readonly logger: Logger;
}

async function answerStream(context: StreamContext, asked: Asked, reply: FastifyReply) {
  const { route, api, logger } = context;
  const stream = route.streamFor(api, asked);
  let isOpen = false;
  try {
    const lost = await pump(stream, () => {
      isOpen = true;
      reply.hijack();
      reply.raw.writeHead(200, { 'content-type': route.answer.type });
      reply.raw.flushHeaders();
      return reply.raw;
    });
    if (lost > 0) logger.info({ route: route.path, lost }, 'a reader was too slow');
  } catch (error) {
    if (!isOpen) throw error;
    // The answer has begun: cutting it off is the only way to say that it is not whole.
    logger.warn({ err: error, route: route.path }, 'a stream ended early');
    reply.raw.destroy();
  }
  return reply;
}

function fail(reply: FastifyReply, error: unknown, request: FastifyRequest, logger: Logger) {
  const answer = answerableError(error);
  if (answer.code === 'ERR_INTERNAL') {
    logger.error({ err: error, method: request.method, url: request.url }, 'request failed');
  }
  return reply
    .code(httpStatus(answer.code))
    .header('content-type', jsonType)
    .send(JSON.stringify(answer));
}
