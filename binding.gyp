# The addon, build/Release/vtep.node. Sources come from native/sources.mjs, which CMake asks too.
{
  "variables": {
    "avx2_count%": "<!(node native/sources.mjs --count avx2)"
  },
  "target_defaults": {
    "include_dirs": ["native"],
    "defines": ["NDEBUG"],
    "cflags": ["-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
    "cflags!": ["-O2"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-exceptions", "-fno-rtti"],
    "cflags_cc": ["-std=c++20", "-fvisibility-inlines-hidden", "-fexceptions"],
    "conditions": [
      ["target_arch=='x64'", { "cflags": ["-march=x86-64-v2"] }]
    ]
  },
  "targets": [
    {
      "target_name": "vtep",
      "sources": [
        "<!@(node native/sources.mjs core)",
        "<!@(node native/sources.mjs binding)"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS", "NODE_ADDON_API_DISABLE_DEPRECATED"],
      "conditions": [
        ["target_arch=='x64' and avx2_count!='0'", {
          "dependencies": ["vtep_avx2"]
        }]
      ]
    }
  ],
  "conditions": [
    ["target_arch=='x64' and avx2_count!='0'", {
      "targets": [
        {
          "target_name": "vtep_avx2",
          "type": "static_library",
          "sources": ["<!@(node native/sources.mjs avx2)"],
          "cflags": ["-mavx2", "-mbmi2"]
        }
      ]
    }]
  ]
}
