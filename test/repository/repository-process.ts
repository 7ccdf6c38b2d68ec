/** Runs a repository in the state directory that is given, prints its address, and serves until it is killed. */
import { startRepository } from '../../src/repository/repository.ts';

const stateDirectory = process.argv[2];
if (stateDirectory === undefined) throw new Error('give a state directory');
const repository = await startRepository({ stateDirectory, host: '127.0.0.1', port: 0 });
process.stdout.write(`${repository.url}\n`);
