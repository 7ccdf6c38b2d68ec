/** Where the repository keeps its state. */
import { join } from 'node:path';

/** The directory of the map store's tables. */
export function mapDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'repository', 'map');
}
