import { readFileSync } from 'node:fs';

/** User and system time of all threads of a process, µs. proc(5): fields 14 and 15 of stat, in ticks of 10 ms. */
export function processCpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Resident memory: now (VmRSS), or its peak since the process started (VmHWM). */
export function residentBytes(pid: number, which: 'VmHWM' | 'VmRSS' = 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${which}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
}
