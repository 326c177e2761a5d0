/**
 * Preloaded into each thread of the measured process (NODE_OPTIONS=--require). It gives each JavaScript thread a name in
 * /proc/PID/task/TID/comm: `main`, or the name of its file without `.worker.js`; the threads of V8 and libuv stay `node`.
 *
 * With BENCH_REPORTS=FOLDER, SIGUSR2 makes each thread write what it has done since the last report, as JSON. Times are ms since 1970.
 */
const { access, renameSync, writeFileSync } = require('node:fs');
const { basename, join } = require('node:path');
const { PerformanceObserver, performance } = require('node:perf_hooks');
const { GCProfiler, getHeapStatistics } = require('node:v8');
const { BroadcastChannel, isMainThread, threadId } = require('node:worker_threads');

const tickMs = 1;
const folder = process.env.BENCH_REPORTS;

module.exports = { createWatch };

// A thread inherits the name of its creator, so libuv's must exist before this one is renamed.
if (isMainThread) access('/', () => begin('main'));
else process.nextTick(() => begin(basename(process.argv[1] ?? 'worker', '.js').replace('.worker', '')));

function begin(thread) {
  writeFileSync('/proc/thread-self/comm', thread);
  if (folder === undefined) return;
  const watch = createWatch();
  const channel = new BroadcastChannel('bench reports');
  const report = (number) => {
    const path = join(folder, `${number}-${thread}-${threadId}.json`);
    writeFileSync(`${path}.part`, JSON.stringify({ thread, ...watch.take() }));
    renameSync(`${path}.part`, path);
  };
  channel.onmessage = ({ data }) => report(data);
  channel.unref();
  if (!isMainThread) return;
  let number = 0;
  process.on('SIGUSR2', () => {
    number += 1;
    channel.postMessage(number);
    report(number);
  });
}

/** Observes this thread: bytes allocated in the heap, pauses for collections, and spans in which its loop was blocked. */
function createWatch() {
  let pauses = [];
  let blocked = [];
  let heap = startHeap();
  let last = performance.now();

  const since1970 = (ms) => performance.timeOrigin + ms;
  const keep = ({ startTime, duration }) => pauses.push({ at: since1970(startTime), ms: duration });
  const observer = new PerformanceObserver((list) => list.getEntries().forEach(keep));
  observer.observe({ entryTypes: ['gc'] });
  setInterval(() => {
    const now = performance.now();
    if (now - last > 2 * tickMs) blocked.push({ at: since1970(last + tickMs), ms: now - last - tickMs });
    last = now;
  }, tickMs).unref();

  return {
    take: () => {
      const taken = { allocatedBytes: heap.stop(), pauses, blocked };
      [pauses, blocked, heap] = [[], [], startHeap()];
      return taken;
    },
  };
}

/** Allocated bytes: the growth of the used heap between the collections. */
function startHeap() {
  const profiler = new GCProfiler();
  const usedAtStart = getHeapStatistics().used_heap_size;
  profiler.start();
  return {
    stop: () => {
      const usedAtEnd = getHeapStatistics().used_heap_size;
      const { statistics } = profiler.stop();
      let [allocated, used] = [0, usedAtStart];
      for (const { beforeGC, afterGC } of statistics) {
        allocated += beforeGC.heapStatistics.usedHeapSize - used;
        used = afterGC.heapStatistics.usedHeapSize;
      }
      return allocated + usedAtEnd - used;
    },
  };
}
