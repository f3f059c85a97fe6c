# The FFT of the CPU backend, which Spack's own repository does not have.
from spack.package import *
from spack_repo.builtin.build_systems.cmake import CMakePackage


class Kissfft(CMakePackage):
    """A mixed-radix fast Fourier transform, small and permissively licensed."""

    homepage = "https://github.com/mborgerding/kissfft"
    git = "https://github.com/mborgerding/kissfft.git"

    license("BSD-3-Clause")

    version("131.1.0", tag="131.1.0")

    depends_on("c", type="build")

    def cmake_args(self):
        return ["-DKISSFFT_DATATYPE=float", "-DKISSFFT_PKGCONFIG=ON", "-DKISSFFT_TOOLS=OFF", "-DKISSFFT_TEST=OFF"]
