// Reads Terraform files with HashiCorp's own HCL code (compiled to WebAssembly by the packages of CDK for Terraform).
//
// Standard input: {"name.tf": "text", …}. Standard output: {"name.tf": {"tree": {…}, "error": "…"}, …}.
"use strict";

const fs = require("fs");
const { parse } = require("@cdktf/hcl2json");

async function read(name, text) {
  try {
    return { tree: await parse(name, text) };
  } catch (error) {
    return { error: String(error) };
  }
}

async function main() {
  const files = JSON.parse(fs.readFileSync(0, "utf8"));
  const out = {};
  for (const [name, text] of Object.entries(files)) {
    out[name] = await read(name, text);
  }
  process.stdout.write(JSON.stringify(out));
}

main();
