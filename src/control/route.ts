// control/route.ts — a route as one record, which the server serves and the OpenAPI text shows.
//
// Routes know nothing of HTTP but their path: they get parameters as checked values, answer data or
// a stream, and throw SwitchErrors.

import type { z } from 'zod';
import type { SwitchApi } from './switch-api.ts';

/** A request after its checks. */
export interface Asked {
  readonly params: Readonly<Record<string, string>>;
  /** What the route's query schema made of the query. */
  readonly query: unknown;
  readonly body: string;
}

/** What a route does to an item that its reader is too slow for. */
export interface Stream<Item> {
  readonly items: AsyncIterable<Item>;
  encode(item: Item): Uint8Array;
  /** What must be sent even so (may be empty), and how many events are lost by it. */
  shed(item: Item): { readonly kept: Uint8Array; readonly lost: number };
  /** Says to the reader how many events it missed. */
  lostNotice(lost: number): Uint8Array;
  /** True: lost events are told as soon as there is room. False: at the end of the stream. */
  readonly tellsEarly: boolean;
  /** Ends the stream after so long, even when no item comes. */
  readonly endsAfterMs?: number;
}

export interface RouteBody {
  readonly type: string;
  readonly description: string;
  readonly schema?: z.ZodType;
}

export interface RouteAnswer {
  readonly type: string;
  readonly description: string;
  /** Of the whole answer, or of one line of a stream of lines. */
  readonly schema?: z.ZodType;
}

interface RouteFacts {
  readonly method: 'GET' | 'PUT' | 'POST';
  /** With parameters as `:name`. */
  readonly path: string;
  readonly name: string;
  readonly description: string;
  /** Descriptions of the path's parameters. */
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: z.ZodObject;
  readonly body?: RouteBody;
  readonly answer: RouteAnswer;
}

export interface DataRoute extends RouteFacts {
  /** Text is sent as it is, anything else as JSON. */
  answerTo(api: SwitchApi, asked: Asked): unknown;
}

export interface StreamRoute extends RouteFacts {
  streamFor(api: SwitchApi, asked: Asked): Stream<unknown>;
}

export type Route = DataRoute | StreamRoute;
