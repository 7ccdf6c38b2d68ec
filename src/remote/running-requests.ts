/** The requests that a server is answering, so that closing it can end them. */
import type { ServerResponse } from 'node:http';
import { CovaultError } from '../core/errors.ts';

export class RunningRequests {
  readonly #running = new Set<AbortController>();
  #isClosing = false;

  /**
   * The signal of one more request: aborted when its connection closes before the answer is out, or by `abortAll`.
   * One controller for each request rather than signals derived from one of the server's: those would keep every
   * listener that a handler leaves on them for as long as the server lives.
   */
  begin(response: ServerResponse): AbortSignal {
    const controller = new AbortController();
    this.#running.add(controller);
    response.once('close', () => {
      this.#running.delete(controller);
      if (!response.writableFinished) controller.abort();
    });
    return controller.signal;
  }

  /** @throws CovaultError `E_BUSY` once the server closes. */
  check(): void {
    if (this.#isClosing) throw new CovaultError('E_BUSY', 'the server is stopping', { hint: 'try again later' });
  }

  refuseMore(): void {
    this.#isClosing = true;
  }

  abortAll(): void {
    for (const controller of this.#running) controller.abort();
  }
}
