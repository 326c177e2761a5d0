import { testShape } from '../admin/api/send-test.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import { facts, tell } from './layout.ts';
import { outcomeText } from './outcome-text.ts';

export const sendTestCommand: Command = {
  name: 'send-test',
  synopsis: 'HANDLER [SERVICE]',
  does: 'sends one request through a handler, marked as a test, and prints what came back',
  operands: { least: 1, most: 1 },
  options: serviceOptions,
  run: sendTest,
};

/** Fails where the backend did not accept it. */
async function sendTest({ values, operands: [handler = ''] }: Call): Promise<number> {
  const service = await findService(values);
  const report = await service.post('/send-test', testShape, { handler });
  const { id, method, url, outcome, accepted, reason } = report;
  const excerpt = outcome.kind === 'answered' && outcome.excerpt !== '' ? [['answer', outcome.excerpt] as const] : [];
  const text = facts([
    ['request', `${method} ${url}`],
    ['id', id],
    ['outcome', outcomeText(outcome)],
    ...excerpt,
    ['accepted', accepted ? 'yes' : `no: ${reason}`],
  ]);
  tell(values.json, report, text);
  return accepted ? 0 : 1;
}
