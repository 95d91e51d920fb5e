// bench/rfc2544/extras.ts — what operators ask beyond RFC 2544 (RFC 8204, CSIT), one of them a
// file.
//
// extra/extra.ts says what an extra gets and gives.

import type { Extra } from './extra/extra.ts';
import { ramp } from './extra/ramp.ts';
import { reconfigure } from './extra/reconfigure.ts';
import { restart } from './extra/restart.ts';
import { soak } from './extra/soak.ts';

export type { Extra, ExtraOptions, ExtraRow, ExtraSetting } from './extra/extra.ts';

export const extras: readonly Extra[] = [soak, ramp, reconfigure, restart];
