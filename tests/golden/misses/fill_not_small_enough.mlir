// Near miss `fill_not_small_enough` of `causal_by_tril`: -5 only makes a key unlikely.
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
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %3 = torch.aten.transpose.int %arg1, %int-2, %int-1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,40,63],f32>
    %4 = torch.aten.matmul %arg0, %3 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %5 = torch.aten.eq.Scalar %2, %int0 : !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[63,63],i1>
    %float-5.000000e00 = torch.constant.float -5.000000e+00
    %6 = torch.aten.masked_fill.Scalar %4, %5, %float-5.000000e00 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[63,63],i1>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %7 = torch.aten.softmax.int %6, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %8 = torch.aten.matmul %7, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %8 : !torch.vtensor<[2,4,63,40],f32>
  }
}
