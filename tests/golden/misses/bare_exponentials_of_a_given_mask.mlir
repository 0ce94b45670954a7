// Near miss `bare_exponentials_of_a_given_mask` of `bare_exponentials_of_a_fill`: The tensor may forbid a whole row by a finite number.
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,1,63,63],f32>, %arg3: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %float1.250000e-01 = torch.constant.float 1.250000e-01
    %2 = torch.aten.mul.Scalar %1, %float1.250000e-01 : !torch.vtensor<[2,4,63,63],f32>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %int1 = torch.constant.int 1
    %3 = torch.aten.add.Tensor %2, %arg2, %int1 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,1,63,63],f32>, !torch.int -> !torch.vtensor<[2,4,63,63],f32>
    %4 = torch.aten.exp %3 : !torch.vtensor<[2,4,63,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %int-1 = torch.constant.int -1
    %5 = torch.prim.ListConstruct %int-1 : (!torch.int) -> !torch.list<int>
    %true = torch.constant.bool true
    %none = torch.constant.none
    %6 = torch.aten.sum.dim_IntList %4, %5, %true, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.list<int>, !torch.bool, !torch.none -> !torch.vtensor<[2,4,63,1],f32>
    %7 = torch.aten.div.Tensor %4, %6 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,1],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %8 = torch.aten.matmul %7, %arg3 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %8 : !torch.vtensor<[2,4,63,40],f32>
  }
}
