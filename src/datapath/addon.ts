// datapath/addon.ts — finds and loads the addon, build/Release/vtep.node.
//
// The addon lies beside the sources and beside dist/, two folders up from either. VTEPD_ADDON
// names another file, for builds with sanitizers.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { SwitchError } from '../lib/errors.ts';
import type { NativeAddon } from './native.ts';

const addonFile =
  process.env.VTEPD_ADDON ??
  fileURLToPath(new URL('../../build/Release/vtep.node', import.meta.url));

let loaded: NativeAddon | undefined;

/**
 * The addon, loaded once.
 * @throws SwitchError ERR_UNSUPPORTED when it has not been built, or was built for another machine
 * or Node
 */
export function loadAddon(): NativeAddon {
  loaded ??= load(addonFile);
  return loaded;
}

function load(file: string): NativeAddon {
  const remedy = 'Build it with "npm run build:addon".';
  if (!existsSync(file)) {
    throw new SwitchError('ERR_UNSUPPORTED', `the addon ${file} does not exist`, { remedy });
  }
  try {
    return createRequire(import.meta.url)(file) as NativeAddon;
  } catch (cause) {
    throw new SwitchError('ERR_UNSUPPORTED', `the addon ${file} cannot be loaded`, {
      cause,
      remedy,
    });
  }
}
