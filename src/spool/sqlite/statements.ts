/** A dead letter without its content. */
const letter = `nr, seq, target IS NULL AS still_born, id, host, handler, pool, lane, sender, receiver, reason, detail, status, attempts,
    created_at, died_at`;

/** The columns of a delivery that never change. */
const content = 'id, packet_id, host, handler, pool, lane, sender, receiver, seen_at, created_at, target, body, facts';

/**
 * Every statement that runs in a transaction of deliveries. Each finds its rows by an index or by the table's key, never
 * by a scan of the table: a test checks the query plan of each.
 */
export const statements = {
  beginWrite: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',

  lastSeq: 'SELECT max(seq) FROM deliveries',
  lastDeadSeq: 'SELECT max(seq) FROM attempts',
  insert: `INSERT INTO deliveries (seq, state, due, attempts, ${content}) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,

  lastHotSeq: 'SELECT max(seq) FROM hot',
  insertHot: `INSERT INTO hot (seq, ${content}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  noteSettled: 'INSERT INTO settled (seqs) VALUES (?)',
  hotToRow: `INSERT INTO deliveries (seq, state, due, attempts, ${content}) SELECT seq, 2, created_at, 0, ${content} FROM hot
    WHERE seq = ?`,
  removeHot: 'DELETE FROM hot WHERE seq BETWEEN ? AND ?',

  remove: 'DELETE FROM deliveries WHERE seq = ?',
  anyInLane: 'SELECT 1 FROM deliveries INDEXED BY lanes WHERE lane IS NOT NULL AND state < 2 LIMIT 1',
  laneFirst: 'SELECT seq FROM deliveries INDEXED BY lanes WHERE lane = ? AND state < 2 ORDER BY seq LIMIT 1',

  readyWindow: `SELECT due, seq FROM deliveries INDEXED BY ready WHERE state = 1 AND pool = ? AND handler = ? AND (attempts > 0) = ?
    AND (due, seq) > (?, ?) ORDER BY due, seq LIMIT ?`,
  claim: `UPDATE deliveries SET state = 2 WHERE seq = ? RETURNING seq, attempts, past, failing_since, context, ${content}`,
  makeWaiting: 'UPDATE deliveries SET state = 0 WHERE seq = ?',
  makeReady: 'UPDATE deliveries SET state = 1 WHERE seq = ? RETURNING pool',
  retry: `UPDATE deliveries SET state = ?, due = ?, attempts = attempts + ?, failing_since = coalesce(failing_since, ?),
    context = ?, left_lane = iif(?, coalesce(lane, left_lane), left_lane), lane = iif(?, NULL, lane) WHERE seq = ?`,
  claims: 'SELECT seq, attempts + past, pool, handler, lane, created_at FROM deliveries INDEXED BY claimed WHERE state = 2 ORDER BY seq',
  freeClaims: 'UPDATE deliveries INDEXED BY claimed SET state = 1 WHERE state = 2',

  firstReady: `SELECT seq, attempts + past, pool, handler, lane, created_at FROM deliveries INDEXED BY ready
    WHERE state = 1 AND pool = ? AND handler = ? AND (attempts > 0) = ? ORDER BY due, seq LIMIT 1`,
  oldestDeferred: `SELECT seq, attempts + past, pool, handler, lane, created_at FROM deliveries INDEXED BY deferred
    WHERE state = 1 AND due <> created_at AND pool = ? ORDER BY created_at, seq LIMIT 1`,
  listWindow: `SELECT seq, attempts + past, pool, handler, lane, created_at, state FROM deliveries WHERE seq > ? ORDER BY seq LIMIT ?`,
  move: 'UPDATE deliveries SET pool = ?, handler = ? WHERE seq = ?',
  restoreDead: `INSERT INTO deliveries (seq, state, due, attempts, past, id, packet_id, host, handler, pool, lane, sender, receiver, seen_at,
    created_at, target, body, facts) SELECT ?, ?, ?, 0, attempts, id, packet_id, host, handler, pool, lane, sender, receiver, seen_at, ?,
    target, body, facts FROM dead WHERE nr = ?`,

  addAttempt: 'INSERT INTO attempts (seq, number, at, outcome, judgement) VALUES (?, ?, ?, ?, ?)',
  attemptsOf: 'SELECT number, at, outcome, judgement FROM attempts WHERE seq = ? ORDER BY nr',
  moveAttempts: 'UPDATE attempts SET seq = ? WHERE seq = ?',
  removeAttempts: 'DELETE FROM attempts WHERE seq = ?',

  insertDead: `INSERT INTO dead (seq, id, packet_id, host, handler, pool, lane, sender, receiver, reason, detail, status, attempts, seen_at,
    created_at, died_at, target, body, facts) SELECT ?, id, packet_id, host, handler, pool, coalesce(lane, left_lane), sender, receiver,
    ?, ?, ?, ?, seen_at, created_at, ?, target, body, facts FROM deliveries WHERE seq = ?`,
  insertFailedPacket: `INSERT INTO dead (id, packet_id, host, handler, pool, sender, receiver, reason, detail, attempts, seen_at, created_at,
    died_at, packet, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)`,
  insertRefused: `INSERT INTO dead (${content}, reason, detail, attempts, died_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)`,
  deadForward: `SELECT ${letter} FROM dead INDEXED BY dead_by_age WHERE (died_at, nr) > (?, ?) AND (died_at, nr) < (?, ?)
    ORDER BY died_at, nr LIMIT ?`,
  deadBackward: `SELECT ${letter} FROM dead INDEXED BY dead_by_age WHERE (died_at, nr) > (?, ?) AND (died_at, nr) < (?, ?)
    ORDER BY died_at DESC, nr DESC LIMIT ?`,
  deadOfId: `SELECT ${letter} FROM dead INDEXED BY dead_by_id WHERE id = ? ORDER BY nr`,
  deadById: `SELECT ${letter}, target, packet, body FROM dead INDEXED BY dead_by_id WHERE id = ? ORDER BY nr DESC LIMIT 1`,
  lastDead: 'SELECT died_at, nr FROM dead INDEXED BY dead_by_age WHERE died_at < ? ORDER BY died_at DESC, nr DESC LIMIT 1',
  deadBytes:
    'SELECT ifnull(octet_length(body), 0) + ifnull(octet_length(packet), 0) + ifnull(octet_length(target), 0) FROM dead WHERE nr = ?',
  removeDead: 'DELETE FROM dead WHERE nr = ?',

  setMark: `INSERT INTO marks (attachment, host, node, epoch, h) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, h = excluded.h`,
  setDepth: `INSERT INTO depths (pool, handler, waiting, dead) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET waiting = excluded.waiting, dead = excluded.dead`,
  noted: 'SELECT noted FROM holder WHERE one = 1',
  note: 'UPDATE holder SET noted = ? WHERE one = 1',
  pause: 'INSERT INTO paused (pool) VALUES (?) ON CONFLICT DO NOTHING',
  resume: 'DELETE FROM paused WHERE pool = ?',
} as const;

/** Statements on whole tables, which are small: one row per queue, pool or node, or the deliveries that one process has claimed. */
export const wholeTables = {
  marks: 'SELECT attachment, host, node, epoch, h FROM marks',
  depths: 'SELECT pool, handler, waiting, dead FROM depths',
  forgetEmptyDepths: 'DELETE FROM depths WHERE waiting = 0 AND dead = 0',
  paused: 'SELECT pool FROM paused',
  settled: 'SELECT seqs FROM settled ORDER BY nr',
  clearSettled: 'DELETE FROM settled',
  hotClaims: 'SELECT seq, 0, pool, handler, lane, created_at, octet_length(target) + octet_length(body) FROM unsettled ORDER BY seq',
  clearHot: 'DELETE FROM hot',
} as const;
