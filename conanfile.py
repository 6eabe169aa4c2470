# SPDX-License-Identifier: Apache-2.0
import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir

required_conan_version = ">=2.0"

# For each module: the modules below it, its third-party packages as components of their Conan recipes, and the system libraries.
MODULES = {
    "core": {"modules": [], "requires": ["boost::headers", "boost::json", "fmt::fmt"], "system_libs": ["pthread"]},
    "testing": {"modules": ["core"]},
    "metrics": {"modules": ["core"], "requires": ["fmt::fmt", "prometheus-cpp::prometheus-cpp-core"]},
    "health": {"modules": ["core"], "requires": ["boost::json", "fmt::fmt"]},
    "pool": {"modules": ["core"], "requires": ["fmt::fmt"]},
    "db": {"modules": ["core", "pool"], "requires": ["fmt::fmt", "sqlite3::sqlite3"]},
    "db_keyset": {"modules": ["core", "db"], "requires": ["fmt::fmt", "openssl::crypto"]},
    "db_postgres": {"modules": ["core", "db"], "requires": ["fmt::fmt", "libpq::libpq", "libpqxx::libpqxx"]},
    "http": {"modules": ["core"], "requires": ["fmt::fmt"]},
}
OPTIONAL = [name for name in MODULES if name != "core"]


class SpillwayConan(ConanFile):
    name = "spillway"
    description = "Scaling toolkit for C++20 services"
    license = "Apache-2.0"
    topics = ("asio", "http", "connection-pool", "database", "metrics", "health")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], **{f"with_{name}": [True, False] for name in OPTIONAL}}
    default_options = {"shared": False, "fPIC": True, **{f"with_{name}": True for name in OPTIONAL}}
    implements = ["auto_shared_fpic"]
    exports_sources = "CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "src/*"

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, "CMakeLists.txt"))
        self.version = re.search(r"project\(spillway\s+VERSION ([\d.]+)", text).group(1)

    def _modules(self):
        return [name for name in MODULES if name == "core" or self.options.get_safe(f"with_{name}")]

    def _needs(self, package):
        return any(each.startswith(package + "::") for name in self._modules() for each in MODULES[name].get("requires", []))

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("boost/[>=1.81 <2]", transitive_headers=True)
        self.requires("fmt/[>=9 <13]")
        if self._needs("sqlite3"):
            self.requires("sqlite3/[>=3.40 <4]")
        if self._needs("openssl"):
            self.requires("openssl/[>=3 <4]")
        if self._needs("libpq"):
            self.requires("libpq/[>=14 <19]")
            self.requires("libpqxx/[>=7.7 <9]", transitive_headers=True)
        if self._needs("prometheus-cpp"):
            self.requires("prometheus-cpp/[>=1.0 <2]")

    def validate(self):
        check_min_cppstd(self, 20)
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("spillway runs on Linux")
        for name in self._modules():
            for below in MODULES[name]["modules"]:
                if below not in self._modules():
                    raise ConanInvalidConfiguration(f"with_{name}=True needs with_{below}=True")

    def build_requirements(self):
        self.tool_requires("cmake/[>=3.21 <5]")

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["SPILLWAY_MODULES"] = ";".join(self._modules())
        for part in ("TESTS", "EXAMPLES", "BENCHMARKS"):
            toolchain.cache_variables[f"SPILLWAY_BUILD_{part}"] = False
        toolchain.generate()
        CMakeDeps(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, os.path.join(self.package_folder, "share"))

    def package_info(self):
        self.cpp_info.set_property("cmake_file_name", "spillway")
        for name in self._modules():
            component = self.cpp_info.components[name]
            component.set_property("cmake_target_name", f"spillway::{name}")
            component.set_property("pkg_config_name", f"spillway-{name}")
            component.libs = [f"spillway_{name}"]
            component.requires = MODULES[name]["modules"] + MODULES[name].get("requires", [])
            component.system_libs = MODULES[name].get("system_libs", [])
