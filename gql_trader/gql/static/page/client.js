// A GraphQL client in one file. Queries and mutations go by HTTP; subscriptions share one WebSocket, which speaks
// graphql-transport-ws, reconnects by itself and goes on behind the last event seen. The login is a cookie that no
// script can read; the header below shows the server that a page of its own is asking.

const HTTP_ADDRESS = new URL('graphql', document.baseURI).href;
const SOCKET_ADDRESS = HTTP_ADDRESS.replace(/^http/, 'ws');
const SESSION_ADDRESS = new URL('session', document.baseURI).href;
const PROOF = { 'x-csrf-protection': '1' };
const JSON_BODY = { ...PROOF, 'content-type': 'application/json' };

/** A request that was not answered: no connection, no rights, a limit, a bug. `code` is `extensions.code`. */
export class ApiError extends Error {
  constructor(message, code, { requestId, retryAfterSeconds } = {}) {
    super(retryAfterSeconds ? `${message} Try again in ${Math.ceil(retryAfterSeconds)} s.` : message);
    this.name = 'ApiError';
    this.code = code;
    this.requestId = requestId;
  }

  static of(errors) {
    const [{ message, extensions = {} }] = errors;
    return new ApiError(message, extensions.code ?? 'UNKNOWN', extensions);
  }
}

/** A mutation that was refused: `errors` has a code, a message and the path into the input of each reason. */
export class RefusedError extends Error {
  constructor(errors) {
    super(errors.map((error) => error.message).join(' '));
    this.name = 'RefusedError';
    this.errors = errors;
  }

  has(code) {
    return this.errors.some((error) => error.code === code);
  }
}

const session = new EventTarget();

/** Call `listener` whenever the login has ended, whoever has ended it. */
export function onSessionEnd(listener) {
  session.addEventListener('end', listener);
}

async function send(address, options) {
  let response;
  try {
    response = await fetch(address, { credentials: 'same-origin', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The server cannot be reached.', 'NETWORK');
  }
  if (response.status === 204) return {};
  try {
    return await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(`The server answered with status ${response.status}.`, 'BAD_RESPONSE');
  }
}

/** Log this browser in; a RefusedError with TOTP_REQUIRED asks for the code of the second factor. */
export async function signIn(credentials) {
  const answer = await send(SESSION_ADDRESS, { method: 'POST', headers: JSON_BODY, body: JSON.stringify(credentials) });
  if (answer.errors) throw answer.errors[0].extensions ? ApiError.of(answer.errors) : new RefusedError(answer.errors);
  socket.close();
  return answer.user;
}

export async function signOut() {
  await send(SESSION_ADDRESS, { method: 'DELETE', headers: PROOF });
  socket.close();
}

/** Run a query; return its data. What has an error beside data counts as an error. */
export async function query(document, variables = {}, signal = undefined) {
  const { data, errors } = await send(HTTP_ADDRESS, {
    method: 'POST',
    headers: { ...JSON_BODY, accept: 'application/graphql-response+json, application/json;q=0.9' },
    body: JSON.stringify({ query: document, variables }),
    signal,
  });
  if (errors) {
    const error = ApiError.of(errors);
    if (error.code === 'UNAUTHENTICATED') session.dispatchEvent(new Event('end'));
    throw error;
  }
  return data;
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

/**
 * Follow a subscription of one field: `for await (const event of subscribe(…))`. A broken connection is made again,
 * and nothing is missed: the server goes on behind the last event's cursor. Ends with the server, or by the signal.
 */
export async function* subscribe(document, variables, signal) {
  const waiting = [];
  let wake = () => {};
  const push = (item) => {
    waiting.push(item);
    wake();
  };
  const operation = {
    document,
    variables,
    next(data) {
      const [event] = Object.values(data);
      operation.variables = { ...operation.variables, after: event.cursor };
      push({ event });
    },
    fail: (error) => push({ error }),
    complete: () => push({ done: true }),
  };
  const stop = socket.start(operation);
  signal.addEventListener('abort', operation.complete);
  try {
    while (!signal.aborted) {
      while (waiting.length === 0) await new Promise((resolve) => (wake = resolve));
      const { event, error, done } = waiting.shift();
      if (error) throw error;
      if (done || signal.aborted) return;
      yield event;
    }
  } finally {
    signal.removeEventListener('abort', operation.complete);
    stop();
  }
}

/** The WebSocket that all subscriptions share: open while there are any, and ten seconds longer. */
class SharedSocket {
  #socket = null;
  #acknowledged = false;
  #operations = new Map();
  #lastId = 0;
  #failures = 0;
  #watchdog = 0;
  #retry = 0;
  #idle = 0;

  start(operation) {
    const id = String(++this.#lastId);
    this.#operations.set(id, operation);
    clearTimeout(this.#idle);
    if (this.#acknowledged) this.#subscribe(id, operation);
    else if (!this.#socket && !this.#retry) this.#open();
    return () => this.#stop(id);
  }

  /** End the connection, for a login that has changed; what is followed goes on with a new one. */
  close() {
    this.#socket?.close(1000);
  }

  #open() {
    this.#retry = 0;
    const socket = new WebSocket(SOCKET_ADDRESS, 'graphql-transport-ws');
    this.#socket = socket;
    socket.onopen = () => socket.send('{"type":"connection_init"}');
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#closed(socket, code, reason);
    this.#watch();
  }

  // The server pings every 20 s. Where nothing has come for a minute, nothing will.
  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#socket?.close(4000, 'silent'), 60_000);
  }

  // What cannot be sent any more is sent again with the next connection, if it is still wanted.
  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #subscribe(id, { document, variables }) {
    this.#send({ id, type: 'subscribe', payload: { query: document, variables } });
  }

  #receive({ type, id, payload }) {
    this.#watch();
    const operation = this.#operations.get(id);
    switch (type) {
      case 'connection_ack':
        this.#acknowledged = true;
        this.#failures = 0;
        for (const [each, waiting] of this.#operations) this.#subscribe(each, waiting);
        break;
      case 'ping':
        this.#send({ type: 'pong' });
        break;
      case 'next':
        if (payload.errors) operation?.fail(ApiError.of(payload.errors));
        else operation?.next(payload.data);
        break;
      case 'error':
        this.#operations.delete(id);
        operation?.fail(ApiError.of(payload));
        break;
      case 'complete':
        this.#operations.delete(id);
        operation?.complete();
        break;
    }
  }

  #stop(id) {
    if (this.#operations.delete(id) && this.#acknowledged) this.#send({ id, type: 'complete' });
    if (this.#operations.size > 0) return;
    clearTimeout(this.#retry);
    this.#retry = 0;
    this.#idle = setTimeout(() => this.close(), 10_000);
  }

  #closed(socket, code, reason) {
    if (socket !== this.#socket) return;
    clearTimeout(this.#watchdog);
    this.#socket = null;
    this.#acknowledged = false;
    if (code === 4403) session.dispatchEvent(new Event('end'));
    // Codes from 4400 on say that trying again would not help.
    if (code >= 4400) {
      const error = new ApiError(reason || `The connection was closed with ${code}.`, 'SOCKET_CLOSED');
      for (const operation of this.#operations.values()) operation.fail(error);
      this.#operations.clear();
    }
    if (this.#operations.size === 0) return;
    const wait = Math.min(30_000, 500 * 2 ** this.#failures++) * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(() => this.#open(), code === 1000 ? 0 : wait);
  }
}

const socket = new SharedSocket();
