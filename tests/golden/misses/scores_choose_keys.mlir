// Near miss `scores_choose_keys` of `text_and_layout`: Sparse attention: the scores themselves say which keys take part, and fusing would compute them twice.
// Left alone: unsupported_score
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %0 = torch.operator "torch.aten.mT"(%arg0) : (!torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,40,63],f32> 
    %1 = torch.aten.matmul %arg1, %0 : !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,40,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %int5 = torch.constant.int 5
    %int-1 = torch.constant.int -1
    %true = torch.constant.bool true
    %values, %indices = torch.aten.topk %1, %int5, %int-1, %true, %true : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.int, !torch.bool, !torch.bool -> !torch.vtensor<[2,4,63,5],f32>, !torch.vtensor<[2,4,63,5],si64>
    %int3 = torch.constant.int 3
    %int9223372036854775807 = torch.constant.int 9223372036854775807
    %int1 = torch.constant.int 1
    %2 = torch.aten.slice.Tensor %values, %int3, %int-1, %int9223372036854775807, %int1 : !torch.vtensor<[2,4,63,5],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,1],f32>
    %3 = torch.aten.lt.Tensor %1, %2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,1],f32> -> !torch.vtensor<[2,4,63,63],i1>
    %float-Inf = torch.constant.float 0xFFF0000000000000
    %4 = torch.aten.masked_fill.Scalar %1, %3, %float-Inf : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,63],i1>, !torch.float -> !torch.vtensor<[2,4,63,63],f32>
    %none = torch.constant.none
    %5 = torch.aten.softmax.int %4, %int-1, %none : !torch.vtensor<[2,4,63,63],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,63,63],f32>
    %6 = torch.aten.matmul %5, %arg2 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[2,4,63,40],f32> -> !torch.vtensor<[2,4,63,40],f32>
    return %6 : !torch.vtensor<[2,4,63,40],f32>
  }
}
