/** How the parts of the API about events are connected. */
import { expect, test } from 'vitest';
import { openEventParts } from '../../src/admin/event-parts.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { History } from '../../src/spool/history/history.ts';
import { runTask } from '../../src/spool/history/task.ts';
import { createApiRig } from '../support/admin-rig.ts';
import { subject } from '../telemetry/observed.ts';

test('an erasure removes the steps of the user that wait for a viewer', async () => {
  const { spool, operations, clock, events, dependencies } = await createApiRig();
  const place = { path: '/nonexistent/spool.sqlite' };
  const history = new History(place, { clock: systemClock, run: (task) => runTask(task, systemClock) });
  const wake = (pools: readonly string[]) => expect(pools).toEqual([]);
  const { withheld } = dependencies;
  const options = { spool, place, operations, withheld, history, recorder: undefined, clock, events, wake };
  const { erasure, tail } = openEventParts(options);
  const { viewer } = tail.read(undefined, {});
  events.emit('delivery.accepted', { ...subject, sender: 'carol@localhost' });
  events.emit('delivery.accepted', subject);
  await erasure.run({ jid: 'carol@localhost', dryRun: false, cursor: undefined, before: clock.now() });
  expect(tail.read(viewer, {}).lines.map((line) => line.subject.sender)).toEqual([subject.sender]);
});
