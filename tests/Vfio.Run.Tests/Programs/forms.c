/*
 * Each form is executed twice with the same registers: on plain memory by the processor, and on trapped memory. Registers, flags, vectors and memory
 * must be the same afterwards.
 */
#include "common.h"

#define BUFFER 192

struct state {
	uint64_t rax, rbx, rcx, rdx, rsi, r8, r9, flags, k1, base;
	uint8_t gap[48];
	uint8_t zmm[4][64];
	uint8_t other[128];
};

typedef void form_function(struct state *, void *);

#define LOAD_VECTORS \
	"vmovdqu64 zmm0,[r12+128]; vmovdqu64 zmm1,[r12+192]; vmovdqu64 zmm2,[r12+256]; vmovdqu64 zmm3,[r12+320]; kmovq k1,[r12+64]\n"
#define SAVE_VECTORS \
	"vmovdqu64 [r12+128],zmm0; vmovdqu64 [r12+192],zmm1; vmovdqu64 [r12+256],zmm2; vmovdqu64 [r12+320],zmm3; kmovq [r12+64],k1; vzeroupper\n"
#define LOAD_SSE "movdqu xmm0,[r12+128]; movdqu xmm1,[r12+192]; movdqu xmm2,[r12+256]; movdqu xmm3,[r12+320]\n"
#define SAVE_SSE "movdqu [r12+128],xmm0; movdqu [r12+192],xmm1; movdqu [r12+256],xmm2; movdqu [r12+320],xmm3\n"

#define FUNCTION(name, load, save, text) \
	extern form_function name; \
	asm(".intel_syntax noprefix\n" #name ":\n" \
	    "push rbx; push rbp; push r12; push r13; mov r12,rdi; mov rdi,rsi; mov [r12+72],rdi\n" load \
	    "push [r12+56]; popfq\n" \
	    "mov rax,[r12]; mov rbx,[r12+8]; mov rcx,[r12+16]; mov rdx,[r12+24]; mov rsi,[r12+32]; mov r8,[r12+40]; mov r9,[r12+48]\n" \
	    text "\n" \
	    "pushfq; pop [r12+56]; cld\n" \
	    "mov [r12],rax; mov [r12+8],rbx; mov [r12+16],rcx; mov [r12+24],rdx; mov [r12+32],rsi; mov [r12+40],r8; mov [r12+48],r9\n" save \
	    "pop r13; pop r12; pop rbp; pop rbx; ret\n" \
	    ".att_syntax\n");

#define GENERAL(n, text) FUNCTION(general_##n, LOAD_SSE, SAVE_SSE, text)
#define VECTOR(n, text) FUNCTION(vector_##n, LOAD_VECTORS, SAVE_VECTORS, text)
#include "forms.inc"
#undef GENERAL
#undef VECTOR

static const struct {
	const char *text;
	form_function *function;
	int vector;
} forms[] = {
#define GENERAL(n, text) { text, general_##n, 0 },
#define VECTOR(n, text) { text, vector_##n, 1 },
#include "forms.inc"
};

static uint64_t seed = 0x1234567;

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void randomize(void *place, size_t length)
{
	for (size_t i = 0; i < length; i++)
		((uint8_t *)place)[i] = next() >> 24;
}

static int differs(const char *what, const void *left, const void *right, size_t length, const char *text, int offset)
{
	for (size_t i = 0; i < length; i++) {
		if (((uint8_t *)left)[i] != ((uint8_t *)right)[i]) {
			printf("%s at offset %d: %s differs at byte %zu: %02x by the processor, %02x trapped\n", text, offset, what, i,
			       ((uint8_t *)left)[i], ((uint8_t *)right)[i]);
			return 1;
		}
	}
	return 0;
}

int main(void)
{
	static uint8_t plain[BUFFER] __attribute__((aligned(64)));
	static const int offsets[] = { 0, 64, 16, 3, 29, 60 };
	int failures = 0, skipped = 0, done = 0;
	int vectors = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
		      __builtin_cpu_supports("avx512dq");

	struct by_group to = open_by_group(VFIO_TYPE1v2_IOMMU);

	enable(to.device);
	volatile char *bar = map_bar0(to.device);
	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		/* "=" in a form's comment marks an operand that must be aligned. */
		int aligned = strstr(forms[i].text, "#=") != NULL;

		if (forms[i].vector && !vectors) {
			skipped++;
			continue;
		}
		for (int round = 0; round < (aligned ? 2 : 6); round++) {
			static struct state one __attribute__((aligned(64))), two __attribute__((aligned(64)));
			uint8_t result[BUFFER];
			int offset = offsets[round];

			randomize(&one, sizeof(one));
			one.flags = (one.flags & 0x8d5) | 0x202;
			randomize(plain, sizeof(plain));
			two = one;
			for (int j = 0; j < BUFFER; j += 8)
				*(volatile uint64_t *)(bar + j) = *(uint64_t *)(plain + j);
			forms[i].function(&one, plain + offset);
			forms[i].function(&two, (char *)bar + offset);
			for (int j = 0; j < BUFFER; j += 8)
				*(uint64_t *)(result + j) = *(volatile uint64_t *)(bar + j);
			one.base = two.base = 0;
			failures += differs("memory", plain, result, BUFFER, forms[i].text, offset) ||
				    differs("state", &one, &two, sizeof(one), forms[i].text, offset);
			done++;
		}
	}
	printf("%d executions compared, %d forms without the processor's support, %d failures\n", done, skipped, failures);
	return failures != 0;
}
