# What the tests run in user mode: copied to a page, so position-independent. `syscall` stops them.
.section .rodata.programs, "a"
.global programs_start, programs_end, program_syscalls, program_faults, program_touch, program_spin, program_flags, program_float, program_enter, program_loop
programs_start:

program_syscalls:               # every register has a number of its own; then one that depends on what came back
  mov ebx, 2
  mov edx, 4
  mov esi, 5
  mov edi, 6
  mov ebp, 7
  mov esp, 8
  mov r8d, 9
  mov r9d, 10
  mov r10d, 11
  mov r12d, 13
  mov r13d, 14
  mov r14d, 15
  mov r15d, 16
  mov eax, 1
  syscall
  add rax, rbx
  add rax, r15
  syscall
  ud2

program_faults:                 # rcx and r11 must survive an exception
  mov ecx, 0x1111
  mov r11d, 0x2222
  std
  ud2
  lea rdi, [rcx + r11]
  syscall

program_touch:
  mov rax, [rdi]
  ud2

program_spin:
  inc rbx
  jmp program_spin

program_flags:                  # rsp is a place to write
  pushfq
  pop rax
  syscall

program_float:
  movq rdi, xmm0
  movq xmm0, rsi
  syscall

program_enter:                  # a personality without work
  mov eax, 80
  syscall
  jmp program_enter

program_loop:                   # rbx turns; ticks in rax
  rdtsc
  mov esi, eax
2:
  syscall
  dec rbx
  jnz 2b
  rdtsc
  sub eax, esi
  ud2
programs_end:
.text
