/**
 * Every statement that runs in a transaction of deliveries. Each finds its rows by an index or by the table's key, never
 * by walking through the table: a test asks SQLite for the plan of each.
 */
export const statements = {
  beginWrite: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',

  lastSeq: 'SELECT max(seq) FROM deliveries',
  lastDeadSeq: 'SELECT max(seq) FROM attempts',
  insert: `INSERT INTO deliveries (seq, state, due, attempts, id, packet_id, host, handler, pool, lane, sender, receiver, seen_at,
    created_at, target, body) VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  remove: 'DELETE FROM deliveries WHERE seq = ?',
  anyInLane: 'SELECT 1 FROM deliveries INDEXED BY lanes WHERE lane IS NOT NULL AND state < 2 LIMIT 1',
  laneFirst: 'SELECT seq FROM deliveries INDEXED BY lanes WHERE lane = ? AND state < 2 ORDER BY seq LIMIT 1',

  readyFirst: `SELECT seq, due, octet_length(body) FROM deliveries INDEXED BY ready WHERE state = 1 AND pool = ?
    ORDER BY due, seq LIMIT ?`,
  claim: `UPDATE deliveries SET state = 2 WHERE seq = ? RETURNING seq, attempts, failing_since, id, packet_id, host, handler, pool,
    lane, sender, receiver, seen_at, created_at, target, body`,
  makeReady: 'UPDATE deliveries SET state = 1 WHERE seq = ? RETURNING pool',
  retry: `UPDATE deliveries SET state = 1, due = ?, attempts = attempts + ?, failing_since = coalesce(failing_since, ?),
    lane = iif(?, NULL, lane) WHERE seq = ?`,
  claims: 'SELECT seq, attempts, pool, lane, created_at FROM deliveries INDEXED BY claimed WHERE state = 2',
  freeClaims: 'UPDATE deliveries INDEXED BY claimed SET state = 1 WHERE state = 2',

  oldestReady: 'SELECT created_at FROM deliveries INDEXED BY ready WHERE state = 1 AND pool = ? ORDER BY due, seq LIMIT 1',
  oldestDeferred: `SELECT created_at FROM deliveries INDEXED BY deferred WHERE state = 1 AND due <> created_at AND pool = ?
    ORDER BY created_at LIMIT 1`,

  addAttempt: 'INSERT INTO attempts (seq, number, at, outcome) VALUES (?, ?, ?, ?)',
  attemptsOf: 'SELECT number, at, outcome FROM attempts WHERE seq = ? ORDER BY nr',
  removeAttempts: 'DELETE FROM attempts WHERE seq = ?',

  bury: `INSERT INTO dead (seq, id, packet_id, host, handler, pool, lane, sender, receiver, reason, detail, status, attempts, seen_at,
    created_at, died_at, target, body) SELECT ?, id, packet_id, host, handler, pool, lane, sender, receiver, ?, ?, ?, ?, seen_at,
    created_at, ?, target, body FROM deliveries WHERE seq = ?`,
  buryStillBorn: `INSERT INTO dead (id, packet_id, host, handler, pool, sender, receiver, reason, detail, attempts, seen_at, created_at,
    died_at, packet) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)`,
  deadPage: `SELECT nr, id, host, handler, pool, sender, receiver, reason, detail, status, attempts, created_at, died_at FROM dead
    INDEXED BY dead_by_age WHERE (died_at, nr) > (?, ?) ORDER BY died_at, nr LIMIT ?`,
  deadById: `SELECT nr, id, host, handler, pool, sender, receiver, reason, detail, status, attempts, created_at, died_at, seq, target,
    packet, body FROM dead INDEXED BY dead_by_id WHERE id = ? ORDER BY nr DESC LIMIT 1`,
  deadBefore: 'SELECT nr, seq, pool FROM dead INDEXED BY dead_by_age WHERE died_at < ? ORDER BY died_at, nr LIMIT ?',
  removeDead: 'DELETE FROM dead WHERE nr = ?',

  owedWindow: 'SELECT seq, id, host, sender, receiver FROM deliveries WHERE seq > ? ORDER BY seq LIMIT ?',
  deadWindow: 'SELECT nr, id, host, sender, receiver FROM dead WHERE nr > ? ORDER BY nr LIMIT ?',

  setMark: `INSERT INTO marks (attachment, host, node, epoch, h) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, h = excluded.h`,
  setDepth: `INSERT INTO depths (pool, waiting, dead) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET waiting = excluded.waiting, dead = excluded.dead`,
} as const;

/** Tables with a row for each pool or node: these are read whole. */
export const wholeTables = {
  marks: 'SELECT attachment, host, node, epoch, h FROM marks',
  depths: 'SELECT pool, waiting, dead FROM depths',
} as const;
