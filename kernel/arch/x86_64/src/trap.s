# Entry from user mode and back. In the kernel gs is this CPU's area; on every way out swapgs gives the user's back.

# Where a frame has each register: frame_rax, frame_rbx, ...
.set frame_next, 0
.irp register, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags
.set frame_\register, frame_next
.set frame_next, frame_next + 8
.endr

# Registers to the frame at `at`, and back from there.
.macro save_registers at, registers:vararg
.irp register, \registers
  mov [\at + frame_\register], \register
.endr
.endm
.macro load_registers at, registers:vararg
.irp register, \registers
  mov \register, [\at + frame_\register]
.endr
.endm

.text
.balign 64
.global trap_syscall
trap_syscall:
  swapgs
  mov gs:[{USER_RSP}], rsp
  mov rsp, gs:[{SAVE}]
  save_registers rsp, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
  mov [rsp + frame_rip], rcx
  mov [rsp + frame_rflags], r11
  mov rcx, gs:[{USER_RSP}]
  mov [rsp + frame_rsp], rcx
  mov rsp, gs:[{STACK}]
  xor ebp, ebp
  call kernel_syscall

# Back to whatever frame is current now; rsp is the top of the kernel stack. The frame may be a guest's, which user mode can write to at any
# time: rip and rflags are read once and checked in registers. sysret only where it restores everything (rcx = rip, r11 = rflags).
trap_return:
  mov rdx, gs:[{SAVE}]
  test rdx, rdx
  jz trap_idle
  mov rcx, [rdx + frame_rip]
  mov r11, [rdx + frame_rflags]
  and r11d, {USER_FLAGS}
  or r11d, {FIXED_FLAGS}
  mov rax, rcx
  sar rax, 47
  inc rax
  cmp rax, 1
  ja trap_bad_rip
  cmp rcx, [rdx + frame_rcx]
  jne trap_return_full
  cmp r11, [rdx + frame_r11]
  jne trap_return_full
  bt r11d, 8
  jc trap_return_full
  load_registers rdx, rax, rbx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15, rsp, rdx
  swapgs
  sysretq

trap_return_full:
  push {USER_DATA}
  push qword ptr [rdx + frame_rsp]
  push r11
  push {USER_CODE}
  push rcx
  load_registers rdx, rax, rbx, rcx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rdx
  swapgs
  iretq

# Neither sysret nor iretq may see such an address: both would fault in the kernel. It is a general protection fault of the user's.
trap_bad_rip:
  mov edi, 13
# A vector that has nothing more to say, in edi.
trap_plain:
  xor esi, esi
  xor edx, edx
# Its error code in rsi, its address in rdx.
trap_enter:
  xor ebp, ebp
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
  sti
  hlt
  cli
  jmp trap_idle

# One stub of 16 bytes per vector: error code (0 where the processor pushes none), vector. NMI, double fault and machine check have stacks of
# their own and end the machine.
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
  .if trap_vector == 2
  jmp trap_nmi
  .elseif (trap_vector == 8) || (trap_vector == 18)
  jmp trap_fatal
  .else
  jmp trap_common
  .endif
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
  save_registers rdx, rax, rbx, rcx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
  pop qword ptr [rdx + frame_rdx]
  pop rdi
  pop rsi
  pop qword ptr [rdx + frame_rip]
  pop rax
  pop qword ptr [rdx + frame_rflags]
  pop qword ptr [rdx + frame_rsp]
  pop rax
  push 2                        # user mode chose AC and DF
  popfq
  mov rdx, cr2
  jmp trap_enter

# An interrupt of the idle loop, whose state is worth nothing; anything else in kernel mode is a bug of the kernel.
trap_from_kernel:
  cmp qword ptr [rsp], 32
  jb trap_bug
  cmp qword ptr gs:[{SAVE}], 0
  jne trap_bug
  mov edi, [rsp]
  mov rsp, gs:[{STACK}]
  jmp trap_plain

.macro push_frame
  sub rsp, {FRAME_SIZE}
  save_registers rsp, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
.endm

# On stacks of their own: gs may be anything, user mode can write it. This CPU's area is found by the stack's address.
trap_fatal:
  push_frame
  movabs rcx, {STACKS}
  mov rax, rsp
  sub rax, rcx
  shr rax, {STACK_WINDOW_SHIFT}
  imul rax, rax, {AREA_SIZE}
  lea rcx, [rip + {AREAS}]
  add rax, rcx
  wrgsbase rax
  jmp trap_bug_saved
trap_bug:
  push_frame
trap_bug_saved:
  cld
  mov rdi, rsp
  and rsp, -16
  call {BUG}
  ud2

# Only a CPU that ends the machine sends them.
trap_nmi:
  cmp byte ptr [rip + {ENDING}], 0
  jne trap_stop
  add rsp, 16
  iretq
trap_stop:
  cli
  hlt
  jmp trap_stop
