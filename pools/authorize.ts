/** Adds an access token to each request of a pool. The request waits for the token, at most as long as for a connection. */
import { systemRandom } from '../src/kit/pacing.ts';
import { TOKEN_UNAVAILABLE } from '../src/model/attempt.ts';
import { AccessTokens, type TokenAnswer } from './access-tokens.ts';
import type { Connection } from './connection.ts';
import type { KeyedOutcome } from './contract.ts';
import type { Exchange } from './exchange.ts';
import type { NewWorker, SendOptions, Worker } from './http-client.ts';
import type { CarrierContext } from './serve.ts';
import { without } from './sign.ts';
import type { TokenEndpoint } from './token-endpoint.ts';

export class Authorizer {
  readonly #tokens: AccessTokens;
  /** The tokens of the requests in progress, by the keys of their jobs. */
  readonly #used = new Map<number, string>();

  constructor({ request }: Pick<TokenEndpoint, 'request'>, { clock, post }: Pick<CarrierContext, 'clock' | 'post'>) {
    const reported = async (): Promise<TokenAnswer> => {
      const answer = await request();
      const { lifetimeMs, reason } = { lifetimeMs: 0, reason: '', ...answer };
      post({ kind: 'token', token: { lifetimeMs, reason } });
      return answer;
    };
    this.#tokens = new AccessTokens({ request: reported, clock, random: systemRandom });
  }

  /** Creates workers that add the token to each request before `newWorker`'s send it. */
  workers(newWorker: NewWorker): NewWorker {
    return (connection) => new AuthorizingWorker(newWorker(connection), { tokens: this.#tokens, used: this.#used });
  }

  /** The context of a carrier whose outcomes pass through here: a 401 replaces the token, and no outcome contains one. */
  watch(context: CarrierContext): CarrierContext {
    return { ...context, onOutcome: (outcome) => context.onOutcome(this.#passed(outcome)) };
  }

  #passed(keyed: KeyedOutcome): KeyedOutcome {
    const { key, outcome, judgement } = keyed;
    const token = this.#used.get(key);
    this.#used.delete(key);
    if (outcome.kind !== 'answered') return keyed;
    if (token !== undefined && outcome.status === 401) this.#tokens.refused(token);
    const { mask } = this.#tokens;
    return {
      ...keyed,
      outcome: { ...outcome, excerpt: mask(outcome.excerpt), ...(outcome.body === undefined ? {} : { body: mask(outcome.body) }) },
      ...(judgement === undefined ? {} : { judgement: { ...judgement, detail: mask(judgement.detail) } }),
    };
  }
}

interface TokenSource {
  readonly tokens: AccessTokens;
  /** Where the token of a request is noted. */
  readonly used: Map<number, string>;
}

class AuthorizingWorker implements Worker {
  readonly connection: Connection;
  readonly #worker: Worker;
  readonly #source: TokenSource;

  constructor(worker: Worker, source: TokenSource) {
    this.connection = worker.connection;
    this.#worker = worker;
    this.#source = source;
  }

  send(exchange: Exchange, options: SendOptions): void {
    exchange.start(() => undefined); // the wait for a token is part of connecting; it ends by itself
    const { tokens, used } = this.#source;
    tokens.take((answer) => {
      if (exchange.concluded) return options.free();
      if (answer.kind === 'failed') {
        exchange.failed(Object.assign(new Error(answer.reason), { code: TOKEN_UNAVAILABLE }));
        return options.free();
      }
      used.set(exchange.job.key, answer.token);
      const headers = [...without('authorization', options.headers), 'authorization', `Bearer ${answer.token}`];
      this.#worker.send(exchange, { ...options, headers });
    });
  }

  close(): Promise<void> {
    return this.#worker.close();
  }
}
