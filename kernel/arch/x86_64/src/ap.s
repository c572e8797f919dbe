# How the other CPUs start: copied to the page {TRAMPOLINE}, entered there in real mode, one CPU at a time. smp.rs fills the words at the
# fixed offsets 8 (root), 16 (stack) and 24 (number).

.section .rodata.trampoline, "a"
.global trampoline_start, trampoline_end
.balign 16
.code16
trampoline_start:
  cli
  cld
  jmp 2f
.balign 8
  .quad 0, 0, 0
# Offset 32: segments; offset 56: pointer to them.
  .quad 0
  .quad 0x00af9a000000ffff
  .quad 0x00cf92000000ffff
  .word 23
  .long {TRAMPOLINE} + 32
2:
  xor ax, ax
  mov ds, ax
  lgdtd [{TRAMPOLINE} + 56]
  mov eax, cr4
  or eax, 0x20
  mov cr4, eax
  mov eax, [{TRAMPOLINE} + 8]
  mov cr3, eax
  mov ecx, 0xC0000080
  rdmsr
  or eax, 0x900
  wrmsr
  mov eax, cr0
  and eax, 0x9fffffff           # caches on
  or eax, 0x80010001
  mov cr0, eax
  .byte 0x66, 0xea
  .long {TRAMPOLINE} + trampoline_long - trampoline_start
  .word 8
.code64
trampoline_long:
  xor eax, eax
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov fs, ax
  mov gs, ax
  mov rsp, [{TRAMPOLINE} + 16]
  mov edi, [{TRAMPOLINE} + 24]
  xor ebp, ebp
  movabs rax, offset {ENTRY}
  call rax
  ud2
trampoline_end:
.text
