import { ServiceError } from '../../kit/errors.ts';
import { createDeferred, type Deferred } from '../../kit/lifecycle.ts';
import type { Stanza } from '../../model/packet.ts';
import { childElements, element, findChild } from '../../packet/xml/element.ts';

/** Questions to the server and others (RFC 6120 §8.2.3), each with its answer or the end of the session. */
export interface Questions {
  /** Resolves with the answer, an error too; rejects when the session ends before. `to` left out: the own account. */
  ask(type: 'get' | 'set', child: Stanza, to?: string): Promise<Stanza>;
  /** Whether it was an answer to one of ours, from the one who was asked. */
  answered(iq: Stanza): boolean;
  /** The session is over: nobody answers any more. */
  abandon(): void;
}

export interface QuestionOptions {
  send(iq: Stanza): void;
  /** Whether who answers is who was asked. */
  isSame(answering: string | undefined, asked: string | undefined): boolean;
}

export function createQuestions({ send, isSame }: QuestionOptions): Questions {
  const open = new Map<string, { readonly to: string | undefined; readonly answer: Deferred<Stanza> }>();
  let asked = 0;

  return {
    ask: (type, child, to) => {
      asked += 1;
      const id = `pusher-${asked}`;
      const answer = createDeferred<Stanza>();
      open.set(id, { to, answer });
      send(element('iq', { xmlns: 'jabber:client', type, id, to }, [child]));
      return answer.promise;
    },
    answered: (iq) => {
      const { id = '', type, from } = iq.attrs;
      const question = type === 'result' || type === 'error' ? open.get(id) : undefined;
      if (question === undefined || !isSame(from, question.to)) return false;
      open.delete(id);
      question.answer.resolve(iq);
      return true;
    },
    abandon: () => {
      for (const { answer } of open.values()) answer.reject(new ServiceError('STREAM_INVALID', 'the session ended before the answer came'));
      open.clear();
    },
  };
}

/** What an error says was wrong (RFC 6120 §8.3.3). */
export function conditionOf(stanza: Stanza): string {
  const error = findChild(stanza, 'error');
  const condition = error && childElements(error).find(({ ns, name }) => ns === 'urn:ietf:params:xml:ns:xmpp-stanzas' && name !== 'text');
  return condition?.name ?? 'undefined-condition';
}
