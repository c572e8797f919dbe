# From the boot loader to Rust in the top 2 GiB. Two ways in: PVH (32-bit, ebx = start_info) and multiboot2 (32-bit, eax = magic,
# ebx = information). The tables here (4 GiB identity, first GiB again at the top) live until start.rs has made the real ones.

# Long mode's page tables, from the root in eax. Caches may be off.
.macro switch_paging_on
  mov cr3, eax
  mov eax, cr4
  or eax, 0x20                  # PAE
  mov cr4, eax
  mov ecx, 0xC0000080           # EFER: LME, NXE
  rdmsr
  or eax, 0x900
  wrmsr
  mov eax, cr0
  and eax, 0x9fffffff           # no CD, NW
  or eax, 0x80010001            # PG, WP, PE
  mov cr0, eax
.endm
.macro clear_segments
  xor eax, eax
.irp segment, ds, es, ss, fs, gs
  mov \segment, ax
.endr
.endm

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
  mov eax, offset boot_root
  switch_paging_on
  lgdt [boot_gdt_pointer]
  ljmp 8, offset boot_long_mode
.code64
boot_long_mode:
  clear_segments
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

# Present and writable (3); in the last table pages of 2 MiB (0x83).
.section .boot.tables, "aw"
.balign 4096
boot_root:
  .quad boot_pdpt_low + 3
  .fill 510, 8, 0
  .quad boot_pdpt_high + 3
boot_pdpt_low:
  .quad boot_pd + 3, boot_pd + 0x1003, boot_pd + 0x2003, boot_pd + 0x3003
  .fill 508, 8, 0
boot_pdpt_high:
  .fill 510, 8, 0
  .quad boot_pd + 3, 0
boot_pd:
.set boot_page, 0x83
.rept 2048
  .quad boot_page
  .set boot_page, boot_page + 0x200000
.endr

.section .bss.boot_stack, "aw", @nobits
.balign 4096
boot_stack: .skip 65536
boot_stack_top:
.text
