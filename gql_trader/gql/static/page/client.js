// A GraphQL client. Queries and mutations go by HTTP; subscriptions share one WebSocket of graphql-ws, which reconnects
// by itself, and go on behind the last event seen. The login is a cookie that no script can read; the header below
// shows the server that a page of its own is asking.

import { createClient } from './vendor/graphql-ws/client.js';

const HTTP_ADDRESS = new URL('graphql', document.baseURI).href;
const SOCKET_ADDRESS = HTTP_ADDRESS.replace(/^http/, 'ws');
const SESSION_ADDRESS = new URL('session', document.baseURI).href;
const PROOF = { 'x-csrf-protection': '1' };
const JSON_BODY = { ...PROOF, 'content-type': 'application/json' };
const LOGIN_ENDED = 4403;

/** A request that was not answered: no connection, no rights, a limit, a bug. `code` is `extensions.code`. */
export class ApiError extends Error {
  constructor(message, code, { requestId, retryAfterSeconds, argument } = {}) {
    const isTold = !retryAfterSeconds || /again in/i.test(message);
    super(isTold ? message : `${message} Try again in ${Math.ceil(retryAfterSeconds)} s.`);
    Object.assign(this, { name: 'ApiError', code, requestId, argument });
  }

  static of(errors) {
    const [{ message, extensions = {} }] = errors;
    return new ApiError(message, extensions.code ?? 'UNKNOWN', extensions);
  }
}

/** What was asked for is not there, or not this user's. */
export const notFound = () => new ApiError('It does not exist.', 'NOT_FOUND');

/** A mutation that was refused: `errors` has a code, a message and the path into the input of each reason. */
export class RefusedError extends Error {
  constructor(errors) {
    super(errors.map((error) => error.message).join(' '));
    Object.assign(this, { name: 'RefusedError', errors });
  }

  has = (code) => this.errors.some((error) => error.code === code);
}

// A value that is none of its type, such as "abc" for a number, is an error of the request that names its place.
const UNREADABLE = /^Variable '\$input' has invalid value at \.([\w.]+): (.*)$/s;

const notices = new EventTarget();

/** Call `listener` whenever the login has ended, whoever has ended it. */
export const onSessionEnd = (listener) => notices.addEventListener('end', listener);

/** Call `listener(isLost)` when a request has not reached the server, or the socket for two seconds; and after it. */
export const onConnection = (listener) => notices.addEventListener('connection', ({ detail }) => listener(detail));

// Of the two ways to the server, 'requests' and 'events', those on which it does not answer.
const broken = new Set();
let isLost = false;
let telling, asking;

function note(way, isBroken) {
  broken[isBroken ? 'add' : 'delete'](way);
  // While nobody asks for anything, this does.
  if (isBroken || broken.has('requests')) asking ??= setTimeout(ask, 1000);
  if (isLost === broken.size > 0) telling = clearTimeout(telling);
  else if (isLost || broken.has('requests')) tell();
  else telling ??= setTimeout(tell, 2000);
}

function tell() {
  telling = clearTimeout(telling);
  isLost = broken.size > 0;
  notices.dispatchEvent(new CustomEvent('connection', { detail: isLost }));
}

function ask() {
  asking = undefined;
  send('healthz').catch(() => {});
}

async function send(address, options) {
  let response;
  try {
    response = await fetch(address, { credentials: 'same-origin', ...options });
    const answer = response.status === 204 ? {} : await response.json();
    note('requests', false);
    return answer;
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    // Without an answer, or with that of a gateway which has found nobody behind it.
    const isUnreached = !response || [502, 503, 504].includes(response.status);
    note('requests', isUnreached);
    if (isUnreached) throw new ApiError('The server cannot be reached.', 'NETWORK');
    throw new ApiError(`The server answered with status ${response.status}.`, 'BAD_RESPONSE');
  }
}

/** Log this browser in; a RefusedError with TOTP_REQUIRED asks for the code of the second factor. */
export async function signIn(credentials) {
  const answer = await send(SESSION_ADDRESS, { method: 'POST', headers: JSON_BODY, body: JSON.stringify(credentials) });
  if (answer.errors) throw answer.errors[0].extensions ? ApiError.of(answer.errors) : new RefusedError(answer.errors);
  reconnect();
  return answer.user;
}

export async function signOut() {
  await send(SESSION_ADDRESS, { method: 'DELETE', headers: PROOF });
  reconnect();
}

/** Run a query; return its data. What has an error beside data counts as an error.
 * @type {(document: string, variables?: object, signal?: AbortSignal) => Promise<object>} */
export async function query(document, variables = {}, signal = undefined) {
  const { data, errors } = await send(HTTP_ADDRESS, {
    method: 'POST',
    headers: { ...JSON_BODY, accept: 'application/graphql-response+json, application/json;q=0.9' },
    body: JSON.stringify({ query: document, variables }),
    signal,
  });
  if (errors) {
    const unread = errors.map(({ message }) => UNREADABLE.exec(message)).filter(Boolean);
    const refusal = ([, path, message]) => ({ path: path.split('.'), message });
    if (unread.length > 0) throw new RefusedError(unread.map(refusal));
    const error = ApiError.of(errors);
    if (error.code === 'UNAUTHENTICATED') notices.dispatchEvent(new Event('end'));
    throw error;
  }
  return data;
}

/** What a query of one field finds; an error if that is nothing. */
export async function queryOne(document, variables, signal) {
  const [found] = Object.values(await query(document, variables, signal));
  if (!found) throw notFound();
  return found;
}

/** All nodes of a query of one connection, page by page; the document takes `after`. */
export async function queryAll(document, signal) {
  const nodes = [];
  for (let after; ; ) {
    const [page] = Object.values(await query(document, { after }, signal));
    nodes.push(...page.nodes);
    if (!page.pageInfo.hasNextPage) return nodes;
    after = page.pageInfo.endCursor;
  }
}

/** Run a mutation of one field; return its payload, or throw the errors that the payload has. */
export async function mutate(document, variables) {
  const [payload] = Object.values(await query(document, variables));
  if (payload.errors.length > 0) throw new RefusedError(payload.errors);
  return payload;
}

/** Follow a subscription of one field: `for await (const event of subscribe(…))`. A broken connection is made again,
 * and nothing is missed: the server goes on behind the last event's cursor. Ends with the server, or by the signal.
 * @type {(document: string, variables: object, signal: AbortSignal) => AsyncGenerator<object>} */
export async function* subscribe(document, variables, signal) {
  if (signal.aborted) return;
  // A new connection sends it as it is then.
  const payload = { query: document, variables: { ...variables } };
  let stop;
  const events = new ReadableStream({
    start(controller) {
      stop = socket.subscribe(payload, {
        next({ data, errors }) {
          if (errors) return controller.error(ApiError.of(errors));
          const [event] = Object.values(data);
          payload.variables.after = event.cursor;
          controller.enqueue(event);
        },
        error: (problem) => controller.error(Array.isArray(problem) ? ApiError.of(problem) : closedBy(problem)),
        complete: () => controller.close(),
      });
    },
  }).getReader();
  const leave = () => {
    stop();
    followed -= 1;
    if (followed > 0) return;
    // Whether it is there is for requests to find out now.
    if (isLost) note('requests', true);
    note('events', false);
  };
  followed += 1;
  signal.addEventListener('abort', leave);
  try {
    for (;;) {
      const { value: event, done } = await events.read();
      if (done || signal.aborted) return;
      yield event;
    }
  } finally {
    signal.removeEventListener('abort', leave);
    if (!signal.aborted) leave();
  }
}

const closedBy = ({ code, reason }) => new ApiError(reason || `The connection was closed (${code}).`, 'SOCKET_CLOSED');

let connection, watchdog, followed = 0;

// The server pings every 20 s. Where nothing has come for a minute, nothing will.
function watch() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => socket.terminate(), 60_000);
}

/** The WebSocket that all subscriptions share: open while there are any, and ten seconds longer. */
const socket = createClient({
  url: SOCKET_ADDRESS,
  lazyCloseTimeout: 10_000,
  retryAttempts: Infinity,
  retryWait: (failures) => {
    const wait = Math.min(10_000, 500 * 2 ** failures) * (0.5 + Math.random() / 2);
    return new Promise((over) => setTimeout(over, wait));
  },
  shouldRetry: ({ code }) => code !== LOGIN_ENDED,
  on: {
    connecting: watch,
    opened: (opened) => (connection = opened),
    connected: () => note('events', false),
    message: watch,
    closed({ code }) {
      clearTimeout(watchdog);
      note('events', followed > 0);
      if (code === LOGIN_ENDED) notices.dispatchEvent(new Event('end'));
    },
  },
});

/** Begin a new connection for a login that has changed; what is followed goes on with it. */
const reconnect = () => connection?.close(1000);
