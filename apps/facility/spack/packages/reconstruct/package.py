# Spack builds from a checkout: in the project's folder
#
#   spack repo add apps/facility/spack
#   spack dev-build reconstruct@0.1.0 +cuda
from spack.package import *
from spack_repo.builtin.build_systems.cmake import CMakePackage


class Reconstruct(CMakePackage):
    """Cryo-EM particle images in, 3-D structures out: one, or a continuous family of them."""

    license("BSD-3-Clause")

    version("0.1.0")

    variant("cuda", default=False, description="Build the CUDA backend (compute capability 8.0, 9.0 and later)")

    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("cli11@2.1:", type="build")
    depends_on("nlohmann-json@3.11:", type="build")
    depends_on("openblas threads=pthreads")
    depends_on("kissfft")
    depends_on("cuda@12.8:", when="+cuda")  # cuBLASLt and cuFFT are opened at run time

    def cmake_args(self):
        return [self.define_from_variant("RECON_CUDA", "cuda"), self.define("RECON_TESTS", False)]

    def setup_run_environment(self, env):
        if self.spec.satisfies("+cuda"):
            env.prepend_path("LD_LIBRARY_PATH", self.spec["cuda"].prefix.lib64)
