// Compiled for AVX2 (CMakeLists.txt); empty for other processors.
#if defined(__AVX2__)
#define RECON_VECTOR_BYTES 32
#define RECON_BLOCK_ROWS 6
#define RECON_WEIGHT_ROWS 4
#define RECON_PRODUCTS avx2_products
#define RECON_PRODUCTS_NAME "AVX2"
#include "kernels/decoder/tile_products.inl"
#endif
