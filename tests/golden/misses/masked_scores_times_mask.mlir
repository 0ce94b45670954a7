// Near miss `masked_scores_times_mask` of `scores_times_mask`: −inf times the zero of a mask is NaN (a wrong rewrite, found by make fuzz).
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int63 = torch.constant.int 63
    %0 = torch.prim.ListConstruct %int63, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %1 = torch.aten.ones %0, %none, %none, %cpu, %false : !torch.list<int>, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63,63],f32>
    %int0 = torch.constant.int 0
    %2 = torch.aten.tril %1, %int0 : !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[63,63],f32>
    %3 = torch.operator "torch.aten.mT"(%arg1) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %4 = torch.aten.matmul %arg0, %3 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %5 = torch.aten.full %0, %float-Inf, %none, %none, %cpu, %false : !torch.list<int>, !torch.float, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63,63],f32>
    %int1 = torch.constant.int 1
    %6 = torch.aten.triu %5, %int1 : !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[63,63],f32>
    %7 = torch.aten.add.Tensor %4, %6, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %8 = torch.aten.mul.Tensor %7, %2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[63,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %9 = torch.aten.rsub.Scalar %2, %int1, %int1 : !torch.vtensor<[63,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[63,63],f32>
    %float-1.000000e04 = torch.constant.float -1.000000e+04
    %10 = torch.aten.mul.Scalar %9, %float-1.000000e04 : !torch.vtensor<[63,63],f32>, !torch.float -> !torch.vtensor<[63,63],f32>
    %11 = torch.aten.add.Tensor %8, %10, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %12 = torch.aten.softmax.int %11, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %13 = torch.aten.matmul %12, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %13 : !torch.vtensor<[2,4,63,40],f32>
  }
}
