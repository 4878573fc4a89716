// How much a page works, in the processor's time: on a busy machine the clock on the wall tells of others' work.

/**
 * @param {import("playwright-core").Page} page
 * @param {() => Promise<unknown>} action
 * @returns {Promise<number[]>} Milliseconds of processor time of each task of the pages' main threads, longest first.
 */
export async function taskTimes(page, action) {
  const session = await page.context().newCDPSession(page);
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
  const traceConfig = { includedCategories: ["disabled-by-default-devtools.timeline"] };
  await session.send("Tracing.start", { transferMode: "ReportEvents", traceConfig });
  await action();
  await session.send("Tracing.end");
  await complete;
  await session.detach();
  const thread = ({ pid, tid }) => `${pid} ${tid}`;
  const named = events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const main = new Set(named.map(thread));
  const tasks = events.filter((event) => event.name === "RunTask" && main.has(thread(event)));
  return tasks.map(({ tdur = 0 }) => tdur / 1000).sort((one, other) => other - one);
}
