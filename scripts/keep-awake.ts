/** For `--import`: a process that is none of the programs, and uses the thread pool as they do. */
import { keepThreadPoolAwake } from '../src/commands/thread-pool.ts';

keepThreadPoolAwake();
