/** A backend in memory, for tests. Files can be damaged through `files`. */
import { CovaultError } from '../../src/core/errors.ts';
import { type Backend, checkBackendName, checkBackendPrefix } from '../../src/store/backend.ts';

export interface MemoryBackend extends Backend {
  files: Map<string, Uint8Array>;
}

export function openMemoryBackend(): MemoryBackend {
  const files = new Map<string, Uint8Array>();
  return {
    location: 'memory',
    files,
    async list(prefix) {
      checkBackendPrefix(prefix);
      const names = [...files.keys()].filter((name) => name.startsWith(prefix)).sort();
      return names.map((name) => ({ name, bytes: files.get(name)?.byteLength ?? 0 }));
    },
    async read(name, range) {
      checkBackendName(name);
      const file = files.get(name);
      if (!file) throw new CovaultError('E_NOT_FOUND', `memory has no ${name}`);
      if (!range) return Uint8Array.from(file);
      const bytes = file.subarray(range.offset, range.offset + range.length);
      if (bytes.byteLength < range.length) throw new CovaultError('E_CORRUPT', `${name} ends too early`);
      return Uint8Array.from(bytes);
    },
    async write(name, chunks) {
      checkBackendName(name);
      const bytes = Buffer.concat(chunks);
      const known = files.get(name);
      if (known && Buffer.compare(known, bytes) !== 0) {
        throw new CovaultError('E_EXISTS', `${name} exists with other content`);
      }
      files.set(name, bytes);
    },
    async remove(name) {
      checkBackendName(name);
      files.delete(name);
    },
    async size(name) {
      checkBackendName(name);
      return files.get(name)?.byteLength;
    },
    freeBytes: async () => 2 ** 40,
    removeLeftovers: async () => undefined,
  };
}
