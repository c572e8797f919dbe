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
  mov eax, [{TRAMPOLINE} + 8]
  switch_paging_on
  .byte 0x66, 0xea
  .long {TRAMPOLINE} + trampoline_long - trampoline_start
  .word 8
.code64
trampoline_long:
  clear_segments
  mov rsp, [{TRAMPOLINE} + 16]
  mov edi, [{TRAMPOLINE} + 24]
  xor ebp, ebp
  movabs rax, offset {AP_ENTRY}
  call rax
  ud2
trampoline_end:
.text
