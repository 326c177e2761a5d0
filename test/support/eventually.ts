/** Polls `check` every 10 ms until it neither throws nor gives false; after `withinMs` the last failure is thrown. */
export async function eventually(check: () => unknown, { withinMs = 10_000 }: { readonly withinMs?: number } = {}): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    try {
      if ((await check()) !== false) return;
      if (performance.now() > giveUpAt) throw new Error(`not true within ${withinMs} ms: ${check}`);
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
