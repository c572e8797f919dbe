# Entry from user mode and back. Offsets in a frame: rax 0 rbx 8 rcx 16 rdx 24 rsi 32 rdi 40 rbp 48 rsp 56 r8 64 .. r15 120 rip 128 rflags 136.
# In the kernel gs is this CPU's area; on every way out swapgs gives the user's back.

.text
.balign 64
.global trap_syscall
trap_syscall:
  swapgs
  mov gs:[{USER_RSP}], rsp
  mov rsp, gs:[{SAVE}]
  mov [rsp], rax
  mov [rsp + 8], rbx
  mov [rsp + 16], rcx
  mov [rsp + 128], rcx
  mov [rsp + 24], rdx
  mov rcx, gs:[{USER_RSP}]
  mov [rsp + 32], rsi
  mov [rsp + 40], rdi
  mov [rsp + 48], rbp
  mov [rsp + 56], rcx
  mov [rsp + 64], r8
  mov [rsp + 72], r9
  mov [rsp + 80], r10
  mov [rsp + 88], r11
  mov [rsp + 136], r11
  mov [rsp + 96], r12
  mov [rsp + 104], r13
  mov [rsp + 112], r14
  mov [rsp + 120], r15
  mov rsp, gs:[{STACK}]
  xor ebp, ebp
  call kernel_syscall

# Back to whatever frame is current now; rsp is the top of the kernel stack. The frame may be a guest's, which user mode can write to at any
# time: rip and rflags are read once and checked in registers. sysret only where it restores everything (rcx = rip, r11 = rflags).
trap_return:
  mov rdx, gs:[{SAVE}]
  test rdx, rdx
  jz trap_idle
  mov rcx, [rdx + 128]
  mov r11, [rdx + 136]
  and r11d, {USER_FLAGS}
  or r11d, {FIXED_FLAGS}
  mov rax, rcx
  sar rax, 47
  inc rax
  cmp rax, 1
  ja trap_bad_rip
  cmp rcx, [rdx + 16]
  jne trap_return_full
  cmp r11, [rdx + 88]
  jne trap_return_full
  bt r11d, 8
  jc trap_return_full
  mov rax, [rdx]
  mov rbx, [rdx + 8]
  mov rsi, [rdx + 32]
  mov rdi, [rdx + 40]
  mov rbp, [rdx + 48]
  mov r8, [rdx + 64]
  mov r9, [rdx + 72]
  mov r10, [rdx + 80]
  mov r12, [rdx + 96]
  mov r13, [rdx + 104]
  mov r14, [rdx + 112]
  mov r15, [rdx + 120]
  mov rsp, [rdx + 56]
  mov rdx, [rdx + 24]
  swapgs
  sysretq

trap_return_full:
  push {USER_DATA}
  push qword ptr [rdx + 56]
  push r11
  push {USER_CODE}
  push rcx
  mov rax, [rdx]
  mov rbx, [rdx + 8]
  mov rcx, [rdx + 16]
  mov rsi, [rdx + 32]
  mov rdi, [rdx + 40]
  mov rbp, [rdx + 48]
  mov r8, [rdx + 64]
  mov r9, [rdx + 72]
  mov r10, [rdx + 80]
  mov r11, [rdx + 88]
  mov r12, [rdx + 96]
  mov r13, [rdx + 104]
  mov r14, [rdx + 112]
  mov r15, [rdx + 120]
  mov rdx, [rdx + 24]
  swapgs
  iretq

# Neither sysret nor iretq may see such an address: both would fault in the kernel. It is a general protection fault of the user's.
trap_bad_rip:
  mov edi, 13
  xor esi, esi
  xor edx, edx
  call kernel_entry
  jmp trap_return

# To user mode (or idle) from Rust, dropping the kernel stack.
.global trap_resume
trap_resume:
  mov rsp, gs:[{STACK}]
  xor ebp, ebp
  jmp trap_return

# Nothing to run. An interrupt does not return here: it starts at the top of the stack again.
trap_idle:
  mov rsp, gs:[{STACK}]
  xor ebp, ebp
2:
  sti
  hlt
  cli
  jmp 2b

# One stub of 16 bytes per vector: error code (0 where the processor pushes none), vector.
.balign 16
.global trap_stubs
trap_stubs:
.set trap_vector, 0
.rept 256
  .balign 16
  .if (trap_vector == 8) || (trap_vector >= 10 && trap_vector <= 14) || (trap_vector == 17) || (trap_vector == 21) || (trap_vector == 29) || (trap_vector == 30)
  .else
  push 0
  .endif
  .byte 0x68
  .long trap_vector
  jmp trap_common
  .set trap_vector, trap_vector + 1
.endr

# Stack: vector, error, rip, cs, rflags, rsp, ss.
.balign 16
trap_common:
  test byte ptr [rsp + 24], 3
  jz trap_from_kernel
  swapgs
  push rdx
  mov rdx, gs:[{SAVE}]
  mov [rdx], rax
  mov [rdx + 8], rbx
  mov [rdx + 16], rcx
  pop qword ptr [rdx + 24]
  mov [rdx + 32], rsi
  mov [rdx + 40], rdi
  mov [rdx + 48], rbp
  mov [rdx + 64], r8
  mov [rdx + 72], r9
  mov [rdx + 80], r10
  mov [rdx + 88], r11
  mov [rdx + 96], r12
  mov [rdx + 104], r13
  mov [rdx + 112], r14
  mov [rdx + 120], r15
  pop rdi
  pop rsi
  pop qword ptr [rdx + 128]
  pop rax
  pop qword ptr [rdx + 136]
  pop qword ptr [rdx + 56]
  pop rax
  push 2                        # user mode chose AC and DF
  popfq
  mov rdx, cr2
  xor ebp, ebp
  call kernel_entry
  jmp trap_return

# An interrupt of the idle loop, whose state is worth nothing; anything else in kernel mode is a bug of the kernel.
trap_from_kernel:
  cmp qword ptr [rsp], 32
  jb trap_bug
  cmp qword ptr gs:[{SAVE}], 0
  jne trap_bug
  mov edi, [rsp]
  mov rsp, gs:[{STACK}]
  xor esi, esi
  xor edx, edx
  xor ebp, ebp
  call kernel_entry
  jmp trap_return

.macro push_registers
  push rax
  push rbx
  push rcx
  push rdx
  push rsi
  push rdi
  push rbp
  push r8
  push r9
  push r10
  push r11
  push r12
  push r13
  push r14
  push r15
.endm

# This CPU's area from the address of the stack that it runs on: gs may be anything, user mode can write it.
.macro area_from_stack
  movabs rcx, {STACKS}
  mov rax, rsp
  sub rax, rcx
  shr rax, {STACK_WINDOW_SHIFT}
  imul rax, rax, {AREA_SIZE}
  lea rcx, [rip + {AREAS}]
  add rax, rcx
  wrgsbase rax
.endm

.global trap_double_fault
trap_double_fault:
  push 8
  jmp trap_fatal
.global trap_machine_check
trap_machine_check:
  push 0
  push 18
trap_fatal:
  push_registers
  area_from_stack
  jmp trap_bug_saved
trap_bug:
  push_registers
trap_bug_saved:
  cld
  mov rdi, rsp
  and rsp, -16
  call {BUG}
  ud2

.global trap_nmi
trap_nmi:
  push rax
  push rcx
  push rdx
  rdgsbase rdx
  area_from_stack
  inc qword ptr gs:[{NMIS}]
  cmp byte ptr [rip + {ENDING}], 0
  jne trap_stop
  wrgsbase rdx
  pop rdx
  pop rcx
  pop rax
  iretq
trap_stop:
  cli
  hlt
  jmp trap_stop
