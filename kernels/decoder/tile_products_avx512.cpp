// Compiled for AVX-512 (CMakeLists.txt); empty for other processors.
#if defined(__AVX512F__)
#define RECON_VECTOR_BYTES 64
#define RECON_BLOCK_ROWS 14
#define RECON_WEIGHT_ROWS 8
#define RECON_PRODUCTS avx512_products
#define RECON_PRODUCTS_NAME "AVX-512"
#include "kernels/decoder/tile_products.inl"
#endif
