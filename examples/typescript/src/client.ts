// All that a typed client needs: `execute` for queries and mutations, `follow` for subscriptions.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import type { TypedDocumentString } from './gql/graphql.js';

/** One message of the server: data, or what went wrong before there was any. */
interface Answer<Result> {
  data?: Result | null;
  errors?: readonly { message: string; extensions?: { code?: string } }[];
}

function dataOf<Result>(answer: Answer<Result>): Result {
  const problem = answer.errors?.[0];
  if (problem) throw new Error(`${problem.extensions?.code ?? 'error'}: ${problem.message}`);
  if (!answer.data) throw new Error('The server answered without data.');
  return answer.data;
}

/** Return a mutation's payload; throw what it reports: refused input, a limit that was reached. */
export function accepted<Payload extends { errors: readonly { message: string; path: readonly string[] }[] }>(
  payload: Payload,
): Payload {
  if (payload.errors.length > 0) {
    throw new Error(payload.errors.map((each) => `${each.path.join('.')}: ${each.message}`).join('\n'));
  }
  return payload;
}

export class Api {
  readonly #url: string;
  readonly #authorization: string | undefined;

  constructor(url: string, token?: string) {
    this.#url = url;
    this.#authorization = token && `Bearer ${token}`;
  }

  /** Run a query or a mutation over HTTP. */
  async execute<Result, Variables>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
  ): Promise<Result> {
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/graphql-response+json, application/json',
        ...(this.#authorization && { Authorization: this.#authorization }),
      },
      body: JSON.stringify({ query: document.toString(), variables }),
    });
    return dataOf((await response.json()) as Answer<Result>);
  }

  /** Open a socket; it carries any number of subscriptions at once. */
  connect(): Socket {
    return new Socket(this.#url.replace(/^http/, 'ws'), this.#authorization);
  }
}

export class Socket {
  readonly #client: ReturnType<typeof createClient>;

  constructor(url: string, authorization: string | undefined) {
    this.#client = createClient({ url, webSocketImpl: WebSocket, connectionParams: { authorization } });
  }

  /** Yield the events of a subscription until it completes, or until the caller leaves the loop. */
  async *follow<Result, Variables extends Record<string, unknown>>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
  ): AsyncGenerator<Result, void, void> {
    for await (const answer of this.#client.iterate<Result>({ query: document.toString(), variables })) {
      yield dataOf(answer);
    }
  }

  /** Close the socket. */
  async close(): Promise<void> {
    await this.#client.dispose();
  }
}
