import type { z } from 'zod';
import { statusShape } from '../admin/api/status-shapes.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import { output, printable } from './terminal.ts';
import { localTime } from './times.ts';

/** The verdict of the dashboard in a terminal. */
export const statusCommand: Command = {
  name: 'status',
  synopsis: '[SERVICE]',
  description: 'says what is wrong, worst first, or that all is well; ends with 1 if it is critical',
  options: serviceOptions,
  run: status,
};

async function status({ values }: Call): Promise<number> {
  const service = await findService(values);
  const answer = await service.get('/status', statusShape);
  output(values.json, answer, verdictText(answer));
  return answer.verdict.level === 'critical' ? 1 : 0;
}

function verdictText({ history, verdict: { headline, level, lines, more } }: z.output<typeof statusShape>): string {
  const isWell = level === 'well' || level === 'notice';
  const said = [
    ...(isWell ? [headline] : []),
    ...lines.map((line) => `${line.level.padEnd(8)}  ${line.text}`),
    ...(more > 0 ? [`and ${more} more: --json lists the pools and hosts`] : []),
    ...(history?.since ? [`history   settled events since ${localTime(history.since)}`] : []),
  ];
  return said.map((line) => `${printable(line).replaceAll('\n', ' ')}\n`).join('');
}
