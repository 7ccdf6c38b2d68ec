/** The backends that tests use keep to what every backend must do. */
import { testBackend } from './backend-suite.ts';
import { openFaultyBackend } from './faulty-backend.ts';
import { openMemoryBackend } from './memory-backend.ts';

testBackend('memory', async () => openMemoryBackend());
testBackend('faulty, before it fails', async () => openFaultyBackend(openMemoryBackend(), Number.POSITIVE_INFINITY));
