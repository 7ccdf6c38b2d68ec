# Builds native/build/Release/covault.node; scripts/build-addon.mjs calls it.
# Node-API by way of node-addon-api without C++ exceptions: a failed call leaves a pending JavaScript exception.
{
  'variables': {
    # Sanitizers to build with, separated by commas ("address,undefined"); the run-time libraries must be preloaded into node.
    'sanitize%': '',
    # 1: warnings are errors. For development; off for those who build a release with a compiler that is newer than it.
    'strict%': 0,
  },
  'targets': [{
    'target_name': 'covault',
    'sources': ['<!@(ls src/*.cc)'],
    'dependencies': ['<!(node -p "require(\'node-addon-api\').targets"):node_addon_api'],
    'defines': ['NAPI_VERSION=9', '_FILE_OFFSET_BITS=64', '_GNU_SOURCE'],
    'cflags!': ['-fvisibility=default'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
    'cflags': ['-Wall', '-Wextra', '-fvisibility=hidden', '-fno-omit-frame-pointer'],
    'cflags_cc': ['-std=c++20', '-fno-exceptions', '-fvisibility-inlines-hidden'],
    'ldflags': ['-pthread', '-Wl,-z,relro,-z,now'],
    'conditions': [
      ['strict==1', { 'cflags': ['-Werror'] }],
      ['sanitize!=""', {
        'cflags': ['-fsanitize=<(sanitize)', '-fno-sanitize-recover=undefined', '-g', '-O1'],
        'cflags!': ['-O3', '-O2'],
        'ldflags': ['-fsanitize=<(sanitize)'],
      }],
    ],
  }],
}
