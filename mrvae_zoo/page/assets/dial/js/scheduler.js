// One computation at a time, the newest request only.
//
// Whoever turns the dial asks faster than a model answers. Each kind of request has a lane with one place; a newer
// request takes the place of the one that waits, so that nothing queues up. Background lanes wait until all is quiet.

const QUIET = 250; // milliseconds without a request before background work goes on

export class Scheduler {
  #waiting = new Map(); // lane -> {task, resolve, background}
  #running = false;
  #lastRequest = 0;
  #timer = null;

  /** Called with the error of a task. */
  onError = (error) => {
    throw error;
  };

  /**
   * Run a task when its turn comes.
   * @param {string} lane requests of one lane replace each other while they wait
   * @param {() => Promise<T>} task
   * @returns {Promise<T | undefined>} undefined if a newer request took its place, or if it failed
   * @template T
   */
  latest(lane, task) {
    this.#lastRequest = performance.now();
    return this.#enter(lane, task, false);
  }

  /** Like `latest`, but only once nothing else was asked for in a while. */
  background(lane, task) {
    return this.#enter(lane, task, true);
  }

  /** Forget what waits in a lane. */
  cancel(lane) {
    this.#waiting.get(lane)?.resolve(undefined);
    this.#waiting.delete(lane);
  }

  /** Whether a newer request waits in this lane, so that an answer of now would be an old one. */
  isWaiting(lane) {
    return this.#waiting.has(lane);
  }

  #enter(lane, task, background) {
    this.cancel(lane);
    const done = new Promise((resolve) => this.#waiting.set(lane, { task, resolve, background }));
    this.#next();
    return done;
  }

  async #next() {
    if (this.#running) return;
    const entry = [...this.#waiting].find(([, { background }]) => !background) ?? [...this.#waiting][0];
    if (entry === undefined) return;
    const [lane, { task, resolve, background }] = entry;
    const left = background ? this.#lastRequest + QUIET - performance.now() : 0;
    clearTimeout(this.#timer);
    if (left > 0) {
      this.#timer = setTimeout(() => this.#next(), left);
      return;
    }
    this.#waiting.delete(lane);
    this.#running = true;
    try {
      resolve(await task());
    } catch (error) {
      resolve(undefined);
      this.onError(error);
    } finally {
      this.#running = false;
      this.#next();
    }
  }
}
