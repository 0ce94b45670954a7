// Near miss `scores_times_another_mask` of `scores_times_mask`: The two masks differ: some keys get a score of zero.
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
    %3 = torch.aten.ones %0, %none, %none, %cpu, %false : !torch.list<int>, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63,63],f32>
    %int2 = torch.constant.int 2
    %4 = torch.aten.tril %3, %int2 : !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[63,63],f32>
    %5 = torch.operator "torch.aten.mT"(%arg1) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %6 = torch.aten.matmul %arg0, %5 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %7 = torch.aten.mul.Tensor %6, %2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[63,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %int1 = torch.constant.int 1
    %8 = torch.aten.rsub.Scalar %4, %int1, %int1 : !torch.vtensor<[63,63],f32>, !torch.int, !torch.int -> !torch.vtensor<[63,63],f32>
    %float-1.000000e04 = torch.constant.float -1.000000e+04
    %9 = torch.aten.mul.Scalar %8, %float-1.000000e04 : !torch.vtensor<[63,63],f32>, !torch.float -> !torch.vtensor<[63,63],f32>
    %10 = torch.aten.add.Tensor %7, %9, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %11 = torch.aten.softmax.int %10, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %12 = torch.aten.matmul %11, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %12 : !torch.vtensor<[2,4,63,40],f32>
  }
}
