// SPDX-License-Identifier: Apache-2.0
bool plugin_works();

int main() { return plugin_works() ? 0 : 1; }
