import type { z } from 'zod';
import type { Table } from '../../config/mistakes.ts';
import { mistakeLine } from '../../config/mistakes.ts';
import { SectionReader } from '../../config/section-reader.ts';

/** Who asks, as far as a route must know. */
export interface Caller {
  /** May see what people wrote: bodies, packets, JIDs. */
  readonly mayReadContent: boolean;
  readonly address: string;
}

/** One address of the API. Everything about it that can be told (path, questions, answers) is data, so that its document is made from it. */
export interface Route {
  readonly method: 'GET' | 'POST';
  /** Below the API's root: `/dead-letters/{id}`. */
  readonly path: string;
  readonly summary: string;
  /** What may be asked: the path's parameters and, beside them, the query of a GET or the JSON body of a POST. */
  readonly asks: z.ZodObject;
  readonly answers: z.ZodType;
  /** Checks what was asked and answers. Throws a ServiceError for what the service cannot do. */
  answer(asked: Table, caller: Caller): Promise<Answer>;
}

export type Answer = Misasked | { readonly kind: 'done'; readonly value: unknown };

/** What was asked makes no sense; `message` says what would. */
export interface Misasked {
  readonly kind: 'misasked';
  readonly message: string;
}

interface Definition<Asked, Answers extends z.ZodType> {
  readonly method: Route['method'];
  readonly path: string;
  readonly summary: string;
  readonly asks: z.ZodObject & z.ZodType<Asked>;
  readonly answers: Answers;
  handle(asked: Asked, caller: Caller): Promise<z.input<Answers>> | z.input<Answers>;
}

/** Ties a handler to the schemas that check its questions and describe its answers. */
export function defineRoute<Asked, Answers extends z.ZodType>(definition: Definition<Asked, Answers>): Route {
  const { method, path, summary, asks, answers } = definition;
  return {
    ...{ method, path, summary, asks, answers },
    answer: async (asked, caller) => {
      const reader = new SectionReader({ folder: '', written: asked, mistakes: [] });
      const question = reader.read<Asked>(asks, asked, []);
      if (question === undefined) return { kind: 'misasked', message: reader.mistakes.map(mistakeLine).join('; ') };
      return { kind: 'done', value: await definition.handle(question, caller) };
    },
  };
}

/** The names in a path's braces. */
export function parametersIn(path: string): readonly string[] {
  return Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name);
}
