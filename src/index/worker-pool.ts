/** A bounded number of threads that run `hash-worker.ts`. */
import { Worker } from 'node:worker_threads';
import { CovaultError } from '../core/errors.ts';
import type { AnswerTo, WorkerRequest, WorkerSettings } from './worker-protocol.ts';

interface Task {
  request: WorkerRequest;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

interface Thread {
  worker: Worker;
  task: Task | undefined;
}

const entry = new URL('./hash-worker.ts', import.meta.url);

export class WorkerPool {
  readonly #settings: WorkerSettings;
  readonly #name: string;
  readonly #size: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Task[] = [];
  readonly #unanswered = new Set<Promise<unknown>>();
  #isClosed = false;

  /** Starts threads as they are needed, `size` at most. They do not keep the process alive while they are idle. */
  constructor(settings: WorkerSettings, options: { size: number; name: string }) {
    this.#settings = settings;
    this.#size = options.size;
    this.#name = options.name;
  }

  /** Requests that can be given without making a heap: one that runs and one that waits for each thread. */
  get room(): number {
    return this.#isClosed ? 0 : Math.max(0, 2 * this.#size - this.#unanswered.size);
  }

  /**
   * Runs one request; requests begin in the order of the calls.
   *
   * @throws CovaultError `E_IO` if the thread broke down, `E_INTERRUPTED` if the pool is closed.
   */
  run<K extends WorkerRequest['kind']>(request: Extract<WorkerRequest, { kind: K }>): Promise<AnswerTo[K]> {
    if (this.#isClosed) return Promise.reject(closedError());
    const answer = new Promise<AnswerTo[K]>((resolve, reject) => {
      this.#waiting.push({ request, resolve: resolve as (answer: unknown) => void, reject });
      this.#assign();
    });
    this.#unanswered.add(answer);
    const settled = () => this.#unanswered.delete(answer);
    answer.then(settled, settled);
    return answer;
  }

  /** Ends the threads; what they had begun is stopped between two reads. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    Atomics.store(this.#settings.stop, 0, 1);
    for (const task of this.#waiting.splice(0)) task.reject(closedError());
    await Promise.allSettled(this.#unanswered);
    await Promise.all([...this.#threads].map((thread) => thread.worker.terminate()));
    this.#threads.clear();
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const thread = [...this.#threads].find(({ task }) => !task) ?? this.#start();
      if (!thread) return;
      const task = this.#waiting.shift() as Task;
      thread.task = task;
      thread.worker.ref();
      thread.worker.postMessage(task.request);
    }
  }

  #start(): Thread | undefined {
    if (this.#threads.size >= this.#size) return undefined;
    // Descriptors come from the addon, so Node.js cannot know which ones a worker has open.
    const worker = new Worker(entry, { workerData: this.#settings, name: this.#name, trackUnmanagedFds: false });
    const thread: Thread = { worker, task: undefined };
    this.#threads.add(thread);
    worker.unref();
    worker.on('message', (message: { answer?: unknown; error?: string }) => {
      const task = thread.task;
      thread.task = undefined;
      worker.unref();
      if (message.error === undefined) task?.resolve(message.answer);
      else task?.reject(new CovaultError('E_IO', `reading the data directory failed: ${message.error}`));
      this.#assign();
    });
    const lost = (cause: unknown) => {
      this.#threads.delete(thread);
      thread.task?.reject(new CovaultError('E_IO', 'a thread of the index broke down', { cause }));
      thread.task = undefined;
      if (!this.#isClosed) this.#assign();
    };
    worker.on('error', lost);
    worker.on('exit', (code) => lost(code));
    return thread;
  }
}

function closedError(): CovaultError {
  return new CovaultError('E_INTERRUPTED', 'the index is closing');
}
