# From the boot loader to Rust in the top 2 GiB. Two ways in: PVH (32-bit, ebx = start_info) and multiboot2 (32-bit, eax = magic,
# ebx = information). The tables made here (4 GiB identity, first GiB again at the top) live until boot.rs has made the real ones.

.section .boot.multiboot2, "a"
.balign 8
mb2_header:
  .long 0xE85250D6
  .long 0
  .long mb2_header_end - mb2_header
  .long 0x100000000 - (0xE85250D6 + (mb2_header_end - mb2_header))
  .balign 8
  .word 6, 0                    # modules on page boundaries
  .long 8
  .balign 8
  .word 0, 0
  .long 8
mb2_header_end:

.section .note.Xen, "a", @note
.balign 4
  .long 4, 4, 18                # XEN_ELFNOTE_PHYS32_ENTRY
  .asciz "Xen"
  .long boot_start_pvh

.section .boot.text, "awx"
.code32
.global boot_start_pvh
boot_start_pvh:
  mov eax, {PVH_TAG}
.global boot_start_multiboot2
boot_start_multiboot2:
  cli
  cld
  mov edi, eax
  mov esi, ebx
  mov eax, offset boot_pdpt_low
  or eax, 3
  mov [boot_root], eax
  mov eax, offset boot_pdpt_high
  or eax, 3
  mov [boot_root + 511*8], eax
  mov eax, offset boot_pd
  or eax, 3
  mov [boot_pdpt_high + 510*8], eax
  xor ecx, ecx
2:
  mov [boot_pdpt_low + ecx*8], eax
  add eax, 4096
  inc ecx
  cmp ecx, 4
  jne 2b
  xor ecx, ecx
3:
  mov eax, ecx
  shl eax, 21
  or eax, 0x83
  mov [boot_pd + ecx*8], eax
  inc ecx
  cmp ecx, 2048
  jne 3b
  mov eax, offset boot_root
  mov cr3, eax
  mov eax, cr4
  or eax, 0x20                  # PAE
  mov cr4, eax
  mov ecx, 0xC0000080           # EFER: LME, NXE
  rdmsr
  or eax, 0x900
  wrmsr
  mov eax, cr0
  or eax, 0x80010001            # PG, WP, PE
  mov cr0, eax
  lgdt [boot_gdt_pointer]
  ljmp 8, offset boot_long_mode
.code64
boot_long_mode:
  xor eax, eax
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov fs, ax
  mov gs, ax
  movabs rsp, offset boot_stack_top
  mov edi, edi
  mov esi, esi
  xor ebp, ebp
  movabs rax, offset boot_rust
  call rax
  ud2
.balign 8
boot_gdt:
  .quad 0
  .quad 0x00af9a000000ffff
  .quad 0x00cf92000000ffff
boot_gdt_pointer:
  .word 23
  .long boot_gdt

.section .boot.bss, "aw", @nobits
.balign 4096
boot_root: .skip 4096
boot_pdpt_low: .skip 4096
boot_pdpt_high: .skip 4096
boot_pd: .skip 4096*4

.section .bss.boot_stack, "aw", @nobits
.balign 4096
boot_stack: .skip 65536
boot_stack_top:
.text
