// For any processor: vectors of 16 bytes.
#define RECON_VECTOR_BYTES 16
#define RECON_BLOCK_ROWS 6
#define RECON_WEIGHT_ROWS 4
#define RECON_PRODUCTS any_products
#define RECON_PRODUCTS_NAME "any"
#include "kernels/decoder/tile_products.inl"
