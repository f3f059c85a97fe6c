#include <cstdio>
int main() { std::puts("reconstruct"); }
